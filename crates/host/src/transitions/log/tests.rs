//! The log under every kind of rotation, damage and hostility. Real dpkg writes it in `tests/it`.

use super::*;
use std::io::Write as _;

struct Folder(tempfile::TempDir);

fn at(minute: u32) -> String {
    format!("2026-11-21 16:{minute:02}:00")
}

fn now() -> Timestamp {
    "2026-11-21T16:00:00Z".parse().unwrap()
}

/// A line that takes `name` from 1.0 to 1.1.
fn upgrade(name: &str, minute: u32) -> String {
    format!("{} upgrade {name}:all 1.0 1.1\n", at(minute))
}

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn append(&self, text: &str) {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(NAME))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn compress(&self, from: &str, to: &str) {
        let file = File::create(self.path(to)).unwrap();
        let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        gz.write_all(&fs::read(self.path(from)).unwrap()).unwrap();
        gz.finish().unwrap();
        fs::remove_file(self.path(from)).unwrap();
    }

    /// As logrotate does it: one plain rotation, older ones compressed.
    fn rotate(&self) {
        for number in (2..9).rev() {
            if self.path(&format!("{NAME}.{number}.gz")).exists() {
                self.rename(
                    &format!("{NAME}.{number}.gz"),
                    &format!("{NAME}.{}.gz", number + 1),
                );
            }
        }
        if self.path("dpkg.log.1").exists() {
            self.compress("dpkg.log.1", "dpkg.log.2.gz");
        }
        self.rename(NAME, "dpkg.log.1");
        self.append("");
    }

    fn end(&self) -> Place {
        end(self.0.path(), now()).unwrap()
    }

    fn read(&self, place: &mut Place) -> Piece {
        let piece = read(self.0.path(), place, &TimeZone::UTC).unwrap();
        *place = piece.place.clone();
        piece
    }

    /// What is told from here on, which moves on; nothing may be missing.
    fn told(&self, place: &mut Place) -> String {
        let piece = self.read(place);
        assert!(piece.gaps.is_empty(), "{:?}", piece.gaps);
        names(&piece)
    }
}

fn names(piece: &Piece) -> String {
    let names: Vec<_> = piece
        .transitions
        .iter()
        .map(|seen| seen.name.to_string())
        .collect();
    names.join(" ")
}

#[test]
fn what_came_before_is_not_told_and_the_rest_once() {
    let folder = Folder::new();
    folder.append(&upgrade("old-one", 1));
    let mut place = folder.end();
    assert_eq!(folder.told(&mut place), "");
    folder.append(&upgrade("new-one", 2));
    folder.append(&format!("{} status installed new-one:all 1.1\n", at(2)));
    assert_eq!(folder.told(&mut place), "new-one");
    assert_eq!(folder.told(&mut place), "");
    // A line that is still being written waits for its end.
    let line = upgrade("new-two", 3);
    let (begin, rest) = line.split_at(30);
    folder.append(begin);
    assert_eq!(folder.told(&mut place), "");
    folder.append(rest);
    assert_eq!(folder.told(&mut place), "new-two");
}

#[test]
fn rotation_hides_nothing_and_repeats_nothing() {
    let folder = Folder::new();
    folder.append(&upgrade("old-one", 1));
    let mut place = folder.end();
    for round in 0..8 {
        folder.append(&upgrade(&format!("before-{round}"), 10 + round));
        folder.rotate();
        folder.append(&upgrade(&format!("after-{round}"), 20 + round));
        assert_eq!(
            folder.told(&mut place),
            format!("before-{round} after-{round}"),
            "round {round}"
        );
        // An empty log after the rotation is no place of its own.
        folder.rotate();
        assert_eq!(folder.told(&mut place), "");
    }
    // Three rotations between two looks, and a fourth that was copied and cut.
    for round in 0..3 {
        folder.append(&upgrade(&format!("many-{round}"), 40 + round));
        folder.rotate();
    }
    fs::copy(folder.path(NAME), folder.path("dpkg.log-20261121")).unwrap();
    assert_eq!(folder.told(&mut place), "many-0 many-1 many-2");
}

#[test]
fn a_log_that_is_copied_and_cut_goes_on() {
    let folder = Folder::new();
    folder.append(&upgrade("old-one", 1));
    let mut place = folder.end();
    folder.append(&upgrade("new-one", 2));
    fs::copy(folder.path(NAME), folder.path("dpkg.log.1")).unwrap();
    fs::write(folder.path(NAME), upgrade("new-two", 3)).unwrap();
    assert_eq!(folder.told(&mut place), "new-one new-two");
}

#[test]
fn a_log_that_was_cut_or_rewritten_is_told_as_lost_and_read_as_far_as_it_is_there() {
    for harm in ["cut", "rewritten", "gone"] {
        let folder = Folder::new();
        folder.append(&upgrade("old-one", 1));
        let mut place = folder.end();
        folder.append(&upgrade("new-one", 2));
        assert_eq!(folder.told(&mut place), "new-one");
        match harm {
            "cut" => fs::write(folder.path(NAME), upgrade("new-two", 3)).unwrap(),
            "rewritten" => {
                let text = fs::read_to_string(folder.path(NAME)).unwrap();
                let text = text.replace("new-one", "new-xxx") + &upgrade("new-two", 3);
                fs::write(folder.path(NAME), text).unwrap();
            }
            _ => fs::remove_file(folder.path(NAME)).unwrap(),
        }
        let piece = folder.read(&mut place);
        assert!(
            piece.gaps[0].contains("is lost"),
            "{harm}: {:?}",
            piece.gaps
        );
        // What stands at an earlier time was told, or cannot be told apart from what was.
        assert_eq!(
            names(&piece),
            if harm == "gone" { "" } else { "new-two" },
            "{harm}"
        );
        // It is said once; from then on the new log is read.
        folder.append(&upgrade("new-three", 4));
        assert_eq!(folder.told(&mut place), "new-three", "{harm}");
    }
}

#[test]
fn a_log_that_begins_later_is_read_from_its_beginning() {
    let folder = Folder::new();
    let mut place = folder.end();
    assert_eq!(folder.told(&mut place), "");
    folder.append(&upgrade("first-one", 1));
    folder.rotate();
    folder.append(&upgrade("first-two", 2));
    assert_eq!(folder.told(&mut place), "first-one first-two");
    assert_eq!(folder.told(&mut place), "");
}

#[test]
fn many_lines_come_in_pieces_and_none_twice() {
    let folder = Folder::new();
    folder.append(&upgrade("old-one", 0));
    let mut place = folder.end();
    for number in 0..400 {
        folder.append(&upgrade(&format!("p{number}"), 1));
        if number == 200 {
            folder.rotate();
        }
    }
    let mut all = Vec::new();
    let mut pieces = 0;
    loop {
        let piece = folder.read(&mut place);
        all.extend(piece.transitions.iter().map(|seen| seen.name.to_string()));
        pieces += 1;
        assert!(piece.gaps.is_empty());
        if !piece.more {
            break;
        }
        assert_eq!(piece.transitions.len(), SEEN_MAX);
    }
    let expected: Vec<_> = (0..400).map(|number| format!("p{number}")).collect();
    assert_eq!((all, pieces), (expected, 3));
}

#[test]
fn hostile_lines_are_counted_and_stop_nothing() {
    let folder = Folder::new();
    folder.append(&upgrade("old-one", 1));
    let mut place = folder.end();
    let mut bytes = b"\xff\xfe\x00\n\x1b[2J upgrade\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'x', 3 * 1024 * 1024));
    bytes.push(b'\n');
    bytes.extend(upgrade("new-one", 2).bytes());
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(folder.path(NAME))
        .unwrap();
    file.write_all(&bytes).unwrap();
    let piece = folder.read(&mut place);
    assert_eq!(names(&piece), "new-one");
    let gap = piece.gaps.join("\n");
    assert!(
        gap.starts_with("3 lines of the package log are not understood"),
        "{gap}"
    );
    assert!(gap.len() < 300 && !gap.contains('\u{1b}'), "{gap}");
    assert_eq!(folder.told(&mut place), "");
}

#[test]
fn neither_a_pipe_nor_a_damaged_archive_nor_a_strange_name_holds_it_up() {
    let folder = Folder::new();
    folder.append(&upgrade("old-one", 1));
    let mut place = folder.end();
    folder.append(&upgrade("new-one", 2));
    folder.rotate();
    folder.append(&upgrade("new-two", 3));
    let pipe = folder.path("dpkg.log.3");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::write(folder.path("dpkg.log.2.gz"), b"no archive at all").unwrap();
    fs::write(folder.path("dpkg.log.99999999999999999999999"), b"x\n").unwrap();
    fs::create_dir(folder.path("dpkg.log.4")).unwrap();
    assert_eq!(folder.told(&mut place), "new-one new-two");
}
