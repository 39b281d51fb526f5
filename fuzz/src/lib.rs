//! What is fuzzed: everything that is parsed before anybody is trusted, or that decides whom to
//! trust. A target fails when it panics, and when what it reads is taken for more than it is: a
//! document that is accepted must have exactly its own bytes, and nothing that was not signed passes.

mod audit;

#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../../crates/verify/tests/it/support.rs"]
mod support;

pub use audit::audit;
use countersign_domain::jws::PROPOSAL_TYP;
use countersign_domain::statement::{HaltScope, Subject};
use countersign_domain::warrant::WARRANT_TYP;
use countersign_domain::{Environment, SignedStatement, Timestamp, canonical};
use countersign_facts::calendar::Calendars;
use countersign_host::hook;
use countersign_ledger::{Checkpoint, SignedCheckpoint, TlogProof};
use countersign_verify::warrant::GATE_KID;
use countersign_verify::{
    LogKeys, VerifiedRoster, log, proposal as proposals, ssh, warrant as warrants,
};
use std::path::Path;
use std::sync::LazyLock;
use support::{Log, NoteSigner, deployment, key, now, public, roster, state};

const ORIGIN: &str = "example.org/test/authorizations";
/// The entry that the genuine proof is about.
const ENTRY: usize = 3;

/// Calendars with everything that is read: a named zone, UTC with exceptions and moved occurrences,
/// whole days, and a zone of the file's own.
const CALENDARS: [&str; 4] = [
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//a//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Berlin:20260102T220000\r\nDTEND;TZID=Europe/Berlin:20260103T060000\r\nRRULE:FREQ=WEEKLY;BYDAY=FR,SA;UNTIL=20291231T230000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:1\nDTSTART:20260103T100000Z\nDURATION:PT4H\nRRULE:FREQ=MONTHLY;BYDAY=1SA;COUNT=12\nEXDATE:20260207T100000Z\nRDATE:20260210T100000Z\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nRECURRENCE-ID:20260307T100000Z\nDTSTART:20260308T100000Z\nDURATION:P1D\nSTATUS:TENTATIVE\nEND:VEVENT\nEND:VCALENDAR\n",
    "BEGIN:VCALENDAR\nVERSION:2.0\nX-WR-TIMEZONE:America/New_York\nBEGIN:VEVENT\nUID:1\nSUMMARY:a\n b\nDTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20270102\nRRULE:FREQ=YEARLY\nBEGIN:VALARM\nACTION:DISPLAY\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n",
    "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VTIMEZONE\nTZID:Here\nBEGIN:STANDARD\nDTSTART:16011028T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\nBEGIN:DAYLIGHT\nDTSTART:16010325T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nRDATE:20260329T020000\nEND:DAYLIGHT\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:1\nDTSTART;TZID=Here:20260101T023000\nDTEND;TZID=Here:20260101T033000\nRRULE:FREQ=HOURLY;INTERVAL=12\nEND:VEVENT\nEND:VCALENDAR\n",
];

/// What everything is held against.
struct Known {
    roster: VerifiedRoster,
    keys: LogKeys,
    log: Log,
    note: String,
    proof: String,
    statement: SignedStatement,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let roster = roster();
    let log = Log((0..7).map(|number| vec![number; 9]).collect());
    let signer = NoteSigner::log(ORIGIN);
    let witness = NoteSigner::witness("witness.example/one");
    Known {
        keys: LogKeys::authorizations(&roster, 0).expect("the roster's own keys"),
        roster,
        note: log.note(ORIGIN, 7, &[&signer, &witness]),
        proof: log.proof(ORIGIN, ENTRY, 7, &[&signer, &witness]),
        log,
        statement: state(
            "maria",
            1,
            Subject::Halt {
                halt: HaltScope::Everything,
            },
        ),
    }
});

/// A warrant whose payload is anything, under the gate's own signature.
pub fn warrant(data: &[u8]) {
    let gate = key("gate");
    let jws = support::sign_bytes(&gate, WARRANT_TYP, GATE_KID, data);
    if let Ok(found) = warrants::verify_past(&jws, &public(&gate), &deployment()) {
        assert_eq!(canonical::to_bytes(&*found).expect("canonical"), data);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(warrants::verify_past(text, &public(&gate), &deployment()).is_err());
    }
}

/// A proposal whose payload is anything, under the agent's own signature.
pub fn proposal(data: &[u8]) {
    let jws = support::sign_bytes(&key("patcher"), PROPOSAL_TYP, "patcher", data);
    if let Ok(found) = proposals::verify(&jws, &KNOWN.roster) {
        assert_eq!(canonical::to_bytes(&*found).expect("canonical"), data);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(proposals::verify(text, &KNOWN.roster).is_err());
    }
}

/// A signed note: read back as it is, and believed only for the tree that was signed.
pub fn note(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = SignedCheckpoint::parse(text);
    if let Ok(note) = &parsed {
        assert_eq!(note.as_str(), text);
    }
    if let Ok(found) = log::verify_checkpoint(text, &KNOWN.keys) {
        assert_eq!((found.size, found.root), (7, KNOWN.log.root_at(7)));
        // Two readers of one format: what the host believes, the ledger reads.
        assert!(parsed.is_ok());
    }
}

/// A checkpoint's body.
pub fn checkpoint(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(checkpoint) = Checkpoint::parse(text)
    {
        assert_eq!(checkpoint.body(), text);
    }
}

/// An inclusion proof with its checkpoint.
pub fn proof(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = TlogProof::parse(text);
    if let Ok(proof) = &parsed {
        assert_eq!(proof.to_string(), text);
    }
    for (index, entry) in KNOWN.log.0.iter().enumerate() {
        if let Ok(proven) = log::verify_proof(entry, text, &KNOWN.keys) {
            assert_eq!(proven.index, index as u64);
            assert!(parsed.is_ok());
        }
    }
    assert!(log::verify_proof(b"never logged", text, &KNOWN.keys).is_err());
}

/// A person's signature: anything as the statement, anything as the signature.
pub fn sshsig(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let genuine = &KNOWN.statement;
    let other_statement = SignedStatement {
        statement: text.to_owned(),
        signature: genuine.signature.clone(),
    };
    if ssh::verify_statement(&other_statement, &KNOWN.roster, Some(now())).is_ok() {
        assert_eq!(text, genuine.statement);
    }
    let other_signature = SignedStatement {
        statement: genuine.statement.clone(),
        signature: text.to_owned(),
    };
    if ssh::verify_statement(&other_signature, &KNOWN.roster, Some(now())).is_ok() {
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(letters(text), letters(&genuine.signature));
    }
}

/// What apt writes to its hook; without its settings it means the same.
pub fn apt_hook(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = hook::parse(text);
    if let Some(bare) = hook::without_settings(text) {
        assert_eq!(hook::parse(&bare), parsed);
    } else {
        assert!(parsed.is_err());
    }
}

/// A calendar, as windows and as freezes: what one refuses the other refuses; what opens a window
/// freezes, since a freeze takes the longer reading; and an answer holds until the instant it names.
pub fn icalendar(data: &[u8]) {
    let windows = Calendars::read([("calendars/windows.ics", data)]);
    let freezes = Calendars::read([("calendars/freezes.ics", data)]);
    let (Ok(windows), Ok(freezes)) = (&windows, &freezes) else {
        assert!(windows.is_err() && freezes.is_err());
        return;
    };
    for seconds in [0, 1_774_746_000, 1_792_890_000, 2_208_988_800] {
        let at = Timestamp::from_unix_seconds(seconds);
        let (open, frozen) = (
            windows.answer(Environment::Production, at),
            freezes.answer(Environment::Production, at),
        );
        assert!(!open.in_window || frozen.frozen, "{at}");
        assert!(open.until > at && frozen.until > at, "{at}");
        let last = Timestamp::from_unix_seconds(open.until.unix_seconds() - 1);
        assert_eq!(
            windows.answer(Environment::Production, last).in_window,
            open.in_window
        );
    }
}

/// Genuine documents to begin with, written into the folder that `FUZZ_SEEDS` names.
pub fn write_seeds(target: &str) {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS") else {
        return;
    };
    for (number, seed) in seeds(target).into_iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number}"));
        std::fs::write(&path, seed).expect("the seeds' folder can be written");
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "warrant" => vec![canonical::to_bytes(&support::warrant()).expect("canonical")],
        "proposal" => vec![canonical::to_bytes(&support::proposal()).expect("canonical")],
        "note" => vec![KNOWN.note.clone().into()],
        "checkpoint" => vec![
            KNOWN.log.body(ORIGIN, 7).into(),
            format!("{}extension\n", KNOWN.log.body(ORIGIN, 1)).into(),
        ],
        "proof" => vec![KNOWN.proof.clone().into()],
        "sshsig" => vec![
            KNOWN.statement.statement.clone().into(),
            KNOWN.statement.signature.clone().into(),
        ],
        "apt_hook" => vec![
            b"VERSION 3\nAPT::Architecture=amd64\nDpkg::Hook::a%20b=c\n\ncurl 8.1 amd64 none < 8.2 amd64 none /a/curl_8.2_amd64.deb\ncurl 8.1 amd64 none < 8.2 amd64 none **CONFIGURE**\nold 1 all none > - - none **REMOVE**\n".to_vec(),
        ],
        "audit" => audit::SEEDS.map(|text| text.as_bytes().to_vec()).to_vec(),
        "icalendar" => CALENDARS.map(|text| text.as_bytes().to_vec()).to_vec(),
        other => panic!("no target is called `{other}`"),
    }
}
