//! The part of TOML that our manifests use, read line by line with line numbers: sections, keys, and
//! values as written, arrays over several lines joined. Not a TOML parser: cargo is, and reads them too.

/// One key with its value, as written.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The header it stands under, `[a.b]` and `[[a.b]]` both as `a.b`; empty before the first.
    pub section: String,
    /// The number of that header in the file, so that the tables of `[[…]]` can be told apart.
    pub section_number: usize,
    /// The key as written, such as `serde.workspace`.
    pub key: String,
    /// The value as written, comments removed.
    pub value: String,
    /// The line of the key, counted from 1.
    pub line: usize,
}

impl Setting {
    /// The strings in the value, in their order.
    pub fn strings(&self) -> Vec<&str> {
        let parts = self.value.split('"').skip(1).step_by(2);
        parts.collect()
    }
}

/// Every setting of `text`.
pub fn settings(text: &str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let (mut section, mut section_number) = (String::new(), 0);
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if open {
            if let Some(setting) = settings.last_mut() {
                setting.value.push(' ');
                setting.value.push_str(line);
                open = is_open(&setting.value);
            }
        } else if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).trim().to_owned();
            section_number += 1;
        } else if let Some((key, value)) = line.split_once('=') {
            open = is_open(value);
            settings.push(Setting {
                section: section.clone(),
                section_number,
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                line: index + 1,
            });
        }
    }
    settings
}

/// True while a bracket outside of strings waits for its counterpart.
fn is_open(value: &str) -> bool {
    let mut depth = 0_i32;
    for part in value.split('"').step_by(2) {
        depth += part.chars().fold(0, |depth, character| match character {
            '[' | '{' => depth + 1,
            ']' | '}' => depth - 1,
            _ => depth,
        });
    }
    depth > 0
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::settings;

    #[test]
    fn sections_keys_and_arrays_are_read_with_their_lines() {
        let text = "top = 1\n[a.b] # c\nx = [ # \"no\"\n  \"one#\",\n  { crate = \"two]\" },\n]\n\n[[c]]\ny.z = true\n[[c]]\nw = \"[\"\nv = 2\n";
        let found = settings(text);
        let seen: Vec<_> = found
            .iter()
            .map(|s| (s.section.as_str(), s.section_number, s.key.as_str(), s.line))
            .collect();
        assert_eq!(
            seen,
            [
                ("", 0, "top", 1),
                ("a.b", 1, "x", 3),
                ("c", 2, "y.z", 9),
                ("c", 3, "w", 11),
                ("c", 3, "v", 12),
            ]
        );
        assert_eq!(found[1].strings(), ["one#", "two]"]);
        assert_eq!(found[3].strings(), ["["]);
    }
}
