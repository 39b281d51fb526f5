//! Lays out rows of a label and text, wrapped to a width. Plain text; knows nothing of changes.

/// The column where text begins.
const INDENT: usize = 12;
/// Narrower than this no text can be laid out.
const WIDTH_MIN: usize = 50;

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page {
    width: usize,
    text: String,
}

impl Page {
    pub(super) fn new(width: usize) -> Self {
        Self {
            width: width.max(WIDTH_MIN),
            text: String::new(),
        }
    }

    /// Text under a label; under an empty one it continues the row before.
    pub(super) fn row(&mut self, label: &str, text: &str) {
        let mut lead = format!("{label:<INDENT$}");
        for line in wrapped(text, self.width - INDENT) {
            self.text.push_str(lead.trim_end());
            if !line.is_empty() {
                let lead_width = lead.trim_end().chars().count();
                self.text
                    .extend(std::iter::repeat_n(' ', INDENT - lead_width.min(INDENT)));
                self.text.push_str(&line);
            }
            self.text.push('\n');
            lead = " ".repeat(INDENT);
        }
    }

    /// The first row under the label, the others below it.
    pub(super) fn rows(&mut self, label: &str, rows: &[String]) {
        for (at, row) in rows.iter().enumerate() {
            self.row(if at == 0 { label } else { "" }, row);
        }
    }

    /// One line from the left edge, cut into as many as it needs.
    pub(super) fn line(&mut self, text: &str) {
        for line in wrapped(text, self.width) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Cuts at spaces; a word that is longer than a line is cut where the line ends.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        used += word.len();
        line.extend(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_within_its_width_and_nothing_is_lost() {
        let mut page = Page::new(50);
        page.row("WHO", &"word ".repeat(20));
        page.row("", &"x".repeat(90));
        let text = page.finish();
        assert!(
            text.lines().all(|line| line.chars().count() <= 50),
            "{text}"
        );
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.is_empty() || line.starts_with(&" ".repeat(INDENT)))
        );
        assert_eq!(text.matches("word").count(), 20);
        assert_eq!(text.matches('x').count(), 90);
    }
}
