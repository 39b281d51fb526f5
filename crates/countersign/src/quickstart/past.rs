//! What this machine's own logs of the last 30 days look like to an auditor. Reads and changes
//! nothing; logs that cannot be read are told, and stop nothing.

use crate::cli::own_logs;
use countersign_domain::Timestamp;
use countersign_evidence::audit::{self, Context, Group, People, Question};
use serde::Serialize;
use std::path::PathBuf;

/// How far back it looks.
const DAYS: i64 = 30;
/// By how many seconds clocks may differ: as `countersign audit` has it.
const SKEW_SECONDS: i64 = 60;

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Past {
    /// The logs were read.
    Judged(Judged),
    /// They could not be.
    Unread(String),
}

/// The verdict on the logs, in short.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    since: Timestamp,
    until: Timestamp,
    group: Group,
    words: String,
    autonomous: u64,
    clean: u64,
    partial: u64,
    ungoverned: u64,
    not_judged: u64,
    gaps: usize,
}

impl Past {
    /// Of this machine's own logs.
    pub(super) fn of_this_machine(now: Timestamp) -> Self {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        Self::of(&own_logs(), host, now)
    }

    fn of(logs: &[PathBuf], host: String, now: Timestamp) -> Self {
        if logs.is_empty() {
            return Self::Unread("this machine has no logs of apt, dpkg or dnf".into());
        }
        let context = match Context::new(None, host) {
            Ok(context) => context,
            Err(error) => return Self::Unread(error.to_string()),
        };
        let found = match audit::find(logs) {
            Ok(found) => found,
            Err(skipped) => {
                return Self::Unread(format!("{}: {}", skipped.path.display(), skipped.why));
            }
        };
        let question = Question {
            since: now.plus_seconds(-DAYS * 24 * 3600),
            until: now,
            environment: None,
            skew_seconds: SKEW_SECONDS,
            zone: context.zone_name().to_owned(),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let people = People::default();
        let report = match audit::audit(found, &[], &context, &people, &question, threads, |_| {}) {
            Ok(report) => report,
            Err(error) => return Self::Unread(error.to_string()),
        };
        if report.read_nothing() {
            return Self::Unread("nothing of a known format could be read".into());
        }
        let counts = &report.counts;
        Self::Judged(Judged {
            since: report.since,
            until: report.until,
            group: report.estate.group,
            words: report.estate.words,
            autonomous: counts.autonomous,
            clean: counts.clean,
            partial: counts.partial,
            ungoverned: counts.ungoverned,
            not_judged: counts.human + counts.cannot_tell,
            gaps: report.gaps.len(),
        })
    }

    /// In words, a line each; `program` is how this program is called.
    pub(super) fn text(&self, program: &str) -> String {
        let told = match self {
            Self::Unread(why) => format!("not read: {why}"),
            Self::Judged(found) => {
                let gaps = match found.gaps {
                    0 => String::new(),
                    1 => " What was read has a gap.".into(),
                    gaps => format!(" What was read has {gaps} gaps."),
                };
                format!(
                    "{}\n  Autonomous actions: {}; clean {}, partial {}, ungoverned {}. By people, or by whom cannot be told: {}.{gaps}",
                    found.words,
                    found.autonomous,
                    found.clean,
                    found.partial,
                    found.ungoverned,
                    found.not_judged
                )
            }
        };
        format!(
            "Until now: the last {DAYS} days of this machine's own logs, as an auditor reads them\n  {}\n  Each action, and why: {program} audit",
            told.lines()
                .map(|line| countersign_domain::text::shown(line, 400))
                .collect::<Vec<_>>()
                .join("\n")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Past;
    use countersign_domain::Timestamp;

    const HISTORY: &str = "\
Start-Date: 2026-11-02  06:10:00
Commandline: /usr/bin/unattended-upgrade
Upgrade: openssl:amd64 (3.0.1, 3.0.2)
End-Date: 2026-11-02  06:10:05

Start-Date: 2026-11-03  09:00:00
Commandline: apt-get install vim
Requested-By: ada (1000)
Install: vim:amd64 (9.1)
End-Date: 2026-11-03  09:00:09
";

    fn now() -> Timestamp {
        "2026-11-20T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_three_counts_are_told_and_where_to_see_more() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("history.log");
        std::fs::write(&log, HISTORY).unwrap();
        let past = Past::of(&[log], "web-1".into(), now());
        let json = serde_json::to_value(&past).unwrap();
        assert_eq!(json["judged"]["autonomous"], 1, "{json}");
        assert_eq!(json["judged"]["ungoverned"], 1);
        assert_eq!(json["judged"]["not_judged"], 1);
        assert_eq!(json["judged"]["group"], "no-records");
        let text = past.text("./countersign");
        assert!(text.contains("Essentially no records"), "{text}");
        assert!(text.contains("clean 0, partial 0, ungoverned 1"), "{text}");
        assert!(text.contains("./countersign audit"), "{text}");
    }

    #[test]
    fn logs_that_cannot_be_read_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("history.log");
        std::fs::write(&list, "a shopping list\n").unwrap();
        let gone = folder.path().join("gone.log");
        for (logs, says) in [
            (vec![], "no logs of apt"),
            (vec![gone], "gone.log: No such file"),
            (vec![list], "known format"),
        ] {
            let past = Past::of(&logs, "web-1".into(), now());
            assert!(matches!(&past, Past::Unread(_)), "{past:?}");
            assert!(past.text("countersign").contains(says), "{past:?}");
        }
    }
}
