//! Proposals from exports as patch tools write them, and from what nobody should trust.

use super::{Proposal, propose};
use crate::audit::mapping::Mapping;
use proptest::prelude::*;

fn proposed(sample: &[u8]) -> Proposal {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sample).unwrap();
    propose(file.path()).unwrap()
}

/// It can be used as it is, and says this.
#[track_caller]
fn says(sample: &str, lines: &[&str]) {
    let Proposal { toml, missing } = proposed(sample.as_bytes());
    assert_eq!(missing, Vec::<String>::new(), "{toml}");
    Mapping::read(&toml).unwrap();
    for line in lines {
        assert!(toml.contains(line), "`{line}` in\n{toml}");
    }
}

#[test]
fn exports_of_patch_tools_are_told_by_their_columns() {
    says(
        "Job ID,Asset Name,Patch Title,Start Time,End Time,Status,Created By\n\
         17,web-1,KB5031356,2026-11-05T02:00:00Z,2026-11-05T02:09:00Z,Success,svc-patch\n\
         18,web-2,KB5031356,2026-11-05T02:00:00Z,,Failed,svc-patch\n",
        &[
            "kind = \"action\"",
            "time = \"rfc3339\"",
            "system = \"Asset Name\"",
            "started = \"Start Time\"",
            "ended = \"End Time\"",
            "id = \"Job ID\"",
            "actor = \"Created By\"",
            "[marks.failed]\n\"Status\" = [\"Failed\"]",
            "# \"Created By\" = [\"svc-patch\"]",
        ],
    );
    says(
        "{\"device\":{\"name\":\"x\",\"hostname\":\"web-1\"},\"policyName\":\"weekly\",\"timestamp\":1793858400,\"packages\":[\"curl\",\"vim\"]}\n",
        &[
            "time = \"epoch\"",
            "system = \"device.hostname\"",
            "summary = \"policyName\"",
            "items = \"packages\"",
        ],
    );
    says(
        "Change Number,Approver,Decision,Approved At\nCHG1,Ada,Approved,2026-11-04 10:00\nCHG2,Ben,Not approved,2026-11-04 11:00\n",
        &[
            "kind = \"decision\"",
            "time = \"%Y-%m-%d %H:%M\"",
            "[marks.approved]\n\"Decision\" = [\"Approved\"]",
            "[marks.rejected]\n\"Decision\" = [\"Not approved\"]",
        ],
    );
}

#[test]
fn what_cannot_be_told_is_not_invented() {
    // The third of May, or the fifth of March.
    let either = proposed(b"host,start\nweb-1,03/05/2026 10:00\nweb-2,04/05/2026 11:00\n");
    assert!(
        either
            .toml
            .contains("# time = %d/%m/%Y %H:%M   or   %m/%d/%Y %H:%M"),
        "{}",
        either.toml
    );
    assert_eq!(either.missing.len(), 1);
    let nothing = proposed(b"colour,shape\nred,round\n");
    assert_eq!(
        nothing.missing,
        ["`system` under [fields]", "`started` under [fields]"]
    );
    assert!(nothing.toml.contains("colour | shape"));
    for empty in ["", "\n", "[]", "no,records\n"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), empty).unwrap();
        assert!(propose(file.path()).is_err(), "{empty:?}");
    }
}

#[test]
fn names_and_values_from_a_sample_stay_text() {
    let hostile = "{\"host\\n[marks.approved]\":\"x\",\"a\\\"]\\nkind\":\"y\",\"host\":\"web\\n[constants]\\nsystem='x'\",\"start\":\"2026-11-05T02:00:00Z\",\"status\":\"failed\\\"]\\nx=[\\\"\"}";
    let Proposal { toml, missing } = proposed(hostile.as_bytes());
    assert_eq!(missing, Vec::<String>::new(), "{toml}");
    let table: toml::Table = toml::from_str(&toml).unwrap();
    let keys: Vec<_> = table.keys().map(String::as_str).collect();
    assert_eq!(keys, ["fields", "kind", "marks", "time"], "{toml}");
}

proptest! {
    #[test]
    fn whatever_the_sample_the_proposal_is_toml(
        sample in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..400),
            "(host|start|status|user|a\"b|\\\\|\n|,|\"|x|\\{|\\}|:|\\[|\u{7f}|\u{85}){0,60}".prop_map(String::into_bytes),
        ],
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), sample).unwrap();
        if let Ok(Proposal { toml, missing }) = propose(file.path()) {
            prop_assert!(toml::from_str::<toml::Table>(&toml).is_ok(), "{}", toml);
            prop_assert!(!missing.is_empty() || Mapping::read(&toml).is_ok(), "{}", toml);
        }
    }
}
