//! Hostile text in every field of every endpoint that takes a body, signed where it has to be: the
//! server answers 4xx or takes it, never 5xx, and nothing of it reaches a terminal, a page or a
//! problem document as it is.

use crate::app::{request, signed_bytes};
use crate::house::{House, digest_of};
use crate::program::countersign;
use countersign::ambient;
use countersign::api::routes;
use countersign_domain::jws::{OBSERVATION_TYP, PLAN_TYP, PROPOSAL_TYP, RECEIPT_TYP};
use countersign_domain::text::shown;
use countersign_domain::{ChangeState, Digest, Environment, canonical};
use serde_json::{Value, json};

/// What stands in place of a value, as JSON text: `serde_json` could not even hold some of it.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        "a\u{202e}b\u{2066}c",
        "a\u{200b}\u{feff}b",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "<script>alert(1)</script><!--",
        "a\0b",
        "$(reboot)`reboot`;reboot",
        "../../../etc/shadow",
        "",
    ]
    .map(|text| json!(text).to_string())
    .into();
    all.push(json!("A".repeat(64 * 1024)).to_string());
    all.push(format!("{}{}", "[".repeat(5000), "]".repeat(5000)));
    all.push(format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200)));
    all.extend(["9007199254740993", "-1", "1e400", "0.1", "null", "{}", "[]"].map(str::to_owned));
    all.push(r#"{"a":1,"a":2}"#.to_owned());
    all
}

/// Every place in a value where something else could stand.
fn places(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), value)];
    while let Some((at, value)) = open.pop() {
        match value {
            Value::Object(members) => open.extend(
                members
                    .iter()
                    .map(|(name, inner)| (format!("{at}/{name}"), inner)),
            ),
            Value::Array(items) => open.extend(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, inner)| (format!("{at}/{index}"), inner)),
            ),
            _ => {}
        }
        if !at.is_empty() {
            found.push(at);
        }
    }
    found
}

/// The value as JSON text, with other text at one place.
fn with(value: &Value, place: &str, text: &str) -> String {
    const MARK: &str = "@@here@@";
    let mut value = value.clone();
    *value.pointer_mut(place).unwrap() = json!(MARK);
    value
        .to_string()
        .replacen(&json!(MARK).to_string(), text, 1)
}

/// Asserts that an answer is no 5xx, and that its problem can be shown as it is.
fn harmless(what: &str, status: u16, answer: &Value) {
    assert!(status < 500, "{what}: {status} {answer}");
    if status < 400 {
        return;
    }
    assert!(answer.is_object(), "{what}: {status} {answer}");
    let mut open = vec![answer];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => {
                assert_eq!(*text, shown(text, usize::MAX), "{what}");
                assert!(text.len() < 4096, "{what}: {} bytes", text.len());
            }
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            _ => {}
        }
    }
}

/// A document that is signed, and where it is handed in.
struct Signed {
    path: String,
    member: &'static str,
    typ: &'static str,
    by_host: bool,
    document: Value,
}

#[test]
fn hostile_text_in_every_signed_field_is_refused_or_harmless() {
    let house = House::start(&["web-1"], Environment::Production, 2);
    let mut proposal = house.proposal("openssl", &[vec!["web-1"]]);
    proposal["claims"] = json!({"tier": 2, "environment": "production"});
    let change = house.prepared(&proposal);
    let host = &house.hosts[0];
    let now = ambient::now();
    let at_change = |what: &str| format!("changes/{}/{what}", change.id);
    let documents = [
        Signed {
            path: "proposals".into(),
            member: "proposal",
            typ: PROPOSAL_TYP,
            by_host: false,
            document: proposal.clone(),
        },
        Signed {
            path: at_change("plans"),
            member: "plan",
            typ: PLAN_TYP,
            by_host: true,
            document: host.plan(&digest_of(&proposal), "openssl"),
        },
        Signed {
            path: "hosts/web-1/observations".into(),
            member: "observation",
            typ: OBSERVATION_TYP,
            by_host: true,
            document: json!({
                "v": 1, "deployment": "example.org/test", "host": "web-1", "observed_at": now,
                "pending": [{
                    "name": "openssl", "architecture": "amd64", "from": "1.0", "to": "1.1",
                    "origin": "Debian-Security:12/stable-security", "security": true,
                    "section": "libs", "essential": false, "pulls_in": [], "rollback": "mirror",
                    "cves": {"coverage": "read", "ids": ["CVE-2024-0001"]},
                }],
                "health": [{"check": "up", "passed": true, "detail": "fine"}], "gaps": ["none"],
            }),
        },
        Signed {
            path: at_change("receipts"),
            member: "receipt",
            typ: RECEIPT_TYP,
            by_host: true,
            document: json!({
                "v": 1, "deployment": "example.org/test", "host": "web-1", "change": change.id,
                "warrant": Digest::of(b"none"), "started_at": now, "ended_at": now,
                "ending": "succeeded", "in_place": [], "notes": ["a note"],
                "health": [{"check": "up", "passed": true, "detail": "fine"}],
            }),
        },
    ];
    let host_token = host.key.token(&crate::house::deployment(), now).unwrap();
    let seed = std::fs::read_to_string(house.folder.path().join("web-1/key")).unwrap();
    let mut bytes = [0; 32];
    hex::decode_to_slice(seed.trim(), &mut bytes).unwrap();
    let host_key = ed25519_dalek::SigningKey::from_bytes(&bytes);
    let mut sent = 0;
    for signed in &documents {
        let (name, key, token) = if signed.by_host {
            ("web-1", &host_key, host_token.clone())
        } else {
            ("patcher", &house.agent, house.agent_token())
        };
        for place in places(&signed.document) {
            for text in hostile() {
                let document = with(&signed.document, &place, &text);
                // Canonical where it can be, so that the check behind the form is reached.
                let document = serde_json::from_str::<Value>(&document)
                    .ok()
                    .and_then(|value| canonical::to_bytes(&value).ok())
                    .unwrap_or_else(|| document.into_bytes());
                let jws = signed_bytes(signed.typ, name, key, &document);
                let body = json!({ signed.member: jws });
                let (status, answer) = house.post(&signed.path, Some(&token), &body);
                let what = format!("{} {place} = {}", signed.path, shown(&text, 60));
                harmless(&what, status, &answer);
                sent += 1;
            }
        }
    }
    assert!(sent > 1000, "only {sent} were tried");
    // What was taken is shown made harmless, to people and to browsers.
    let shown_to_people = everything_shown(&house);
    assert!(shown_to_people.contains("openssl"), "{shown_to_people}");
}

/// What the command line and the page show of a deployment, checked for what must not be in it.
fn everything_shown(house: &House) -> String {
    let mut all = String::new();
    let dir = house.dir();
    let changes = house.gate().changes(&[], None, 50).unwrap();
    let mut commands: Vec<Vec<String>> = [
        &["change", "list"][..],
        &["alarm", "list"],
        &["halt", "list"],
        &["roster", "show"],
        &["log", "show", "--count", "200"],
        &["log", "show", "--log", "recommendations", "--count", "200"],
    ]
    .iter()
    .map(|words| words.iter().map(ToString::to_string).collect())
    .collect();
    for change in changes.iter().take(5) {
        for words in [&["change", "show"][..], &["policy", "explain"], &["why"]] {
            let mut words: Vec<String> = words.iter().map(ToString::to_string).collect();
            words.push(change.id.to_string());
            commands.push(words);
        }
    }
    for words in &commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = countersign(&dir, &words);
        // What no host has prepared cannot be explained yet.
        let unprepared = words[0] == "policy" && ran.stderr.contains("no host has prepared");
        assert_eq!(
            ran.code,
            i32::from(unprepared),
            "{words:?}: {}{}",
            ran.stdout,
            ran.stderr
        );
        for text in [ran.stdout, ran.stderr] {
            for line in text.lines() {
                assert_eq!(line, shown(line, usize::MAX), "{words:?}");
            }
            all.push_str(&text);
        }
    }
    let url = format!("{}/", house.running.url());
    let (status, page) = request("GET", &url, None, None);
    let page = page.as_str().unwrap();
    assert_eq!(status, 200);
    assert!(
        !page.contains("<script") && !page.contains("<!--"),
        "{page}"
    );
    all
}

#[test]
fn hostile_words_of_a_host_and_an_agent_are_shown_made_harmless() {
    let house = House::start(&["web-1"], Environment::Production, 2);
    let words = "\u{1b}[2J\u{202e}done\u{200b} <script>alert(1)</script><!--\u{0}";
    let rationale = countersign_domain::text::SaltedText::new(ambient::random(), words);
    let mut proposal = house.proposal("openssl", &[vec!["web-1"]]);
    proposal["rationale"] = json!(rationale.digest().unwrap());
    let jws = crate::app::signed(PROPOSAL_TYP, "patcher", &house.agent, &proposal);
    let body = json!({"proposal": jws, "rationale": rationale});
    let answer = house.post_ok("proposals", Some(&house.agent_token()), &body);
    let path = format!("changes/{}/unprepared", answer["change"].as_str().unwrap());
    let token = house.hosts[0]
        .key
        .token(&crate::house::deployment(), ambient::now())
        .unwrap();
    let (status, answer) = house.post(&path, Some(&token), &json!({"why": words}));
    harmless("why", status, &answer);
    let shown = everything_shown(&house);
    assert!(shown.contains("openssl"), "{shown}");
    if status < 300 {
        assert!(shown.contains("\\u{1b}[2J"), "shown, and visibly: {shown}");
    }
}

#[test]
fn hostile_bodies_at_every_endpoint_are_refused() {
    let house = House::start(&["web-1"], Environment::Production, 2);
    let change = house.prepared(&house.proposal("postgresql-15", &[vec!["web-1"]]));
    assert_eq!(change.state, ChangeState::AwaitingApproval);
    let statement = house.state(
        "chen",
        countersign_domain::statement::Subject::Halt {
            halt: countersign_domain::statement::HaltScope::Everything,
        },
    );
    // A signature that does not belong, so that nothing is done by accident.
    let statement = json!({"statement": statement.statement, "signature": "none"});
    let host_token = house.hosts[0]
        .key
        .token(&crate::house::deployment(), ambient::now())
        .unwrap();
    let salted = json!({"salt": "00".repeat(16), "text": "because"});
    let bodies: &[(&str, Value)] = &[
        (
            "proposals",
            json!({"proposal": "a.b.c", "rationale": salted, "plans": ["a.b.c"]}),
        ),
        ("observations", json!({"observation": "a.b.c"})),
        ("plans", json!({"plan": "a.b.c"})),
        ("unprepared", json!({"why": 1})),
        (
            "redemptions",
            json!({"nonce": ambient::nonce(), "checkpoint_size": 0, "roster_version": 1}),
        ),
        ("started", json!({"notice": "a.b.c"})),
        ("receipts", json!({"receipt": "a.b.c"})),
        (
            "votes",
            json!({"statement": statement, "rationale": salted}),
        ),
        ("reviews", json!({"statement": statement, "note": salted})),
        ("endings", json!({"statement": statement, "note": salted})),
        ("halts", json!({"statement": statement})),
        ("resumptions", json!({"statements": [statement]})),
        (
            "policy",
            json!({"files": {"policy.toml": "form = 1"}, "authors": ["omar"], "statements": [statement]}),
        ),
        (
            "roster",
            json!({"signed": {"change": "{}", "statements": [statement]}, "texts": [salted]}),
        ),
        (
            "inventory",
            json!({"inventory": "form = 1", "statements": [statement]}),
        ),
        ("feeds", json!({"vulnerabilities": []})),
        ("packages", json!({"report": "a.b.c"})),
        (
            "emergencies",
            json!({
                "bundle": {
                    "order": {
                        "v": 1, "deployment": "example.org/test", "host": "web-1",
                        "nonce": ambient::nonce(), "ordered_at": ambient::now(),
                        "packages": [{"name": "openssl", "architecture": "amd64", "to": "1.1"}],
                    },
                    "plan": house.hosts[0].plan(&Digest::of(b"order"), "openssl"),
                    "roster_version": 1,
                    "statements": [statement],
                },
                "receipt": "a.b.c",
            }),
        ),
    ];
    let before = house.sizes();
    let posts: Vec<_> = routes()
        .into_iter()
        // A withdrawal has no body.
        .filter(|route| route.method == "POST" && !route.path.ends_with("withdrawals"))
        .collect();
    for route in &posts {
        let word = route.path.rsplit('/').next().unwrap();
        let (_, body) = bodies
            .iter()
            .find(|(name, _)| *name == word)
            .unwrap_or_else(|| panic!("`{}` needs a body here", route.path));
        let path = route
            .path
            .replace("{change}", change.id.as_str())
            .replace("{finding}", "0")
            .replace("{host}", "web-1");
        let query = if word == "feeds" {
            "?source=a%1b%5b2J"
        } else {
            ""
        };
        let url = format!("{}{path}{query}", house.running.url());
        let token = match route.access {
            countersign::api::Access::Agent => Some(house.agent_token()),
            countersign::api::Access::Host => Some(host_token.clone()),
            countersign::api::Access::Operator => Some(house.operator_token()),
            _ => None,
        };
        let mut texts = vec![
            String::new(),
            "\0".into(),
            "[".repeat(100_000),
            "{\"\u{1b}[2J\u{202e}\":1}".into(),
            "nul".into(),
        ];
        for place in places(body) {
            // `null` is how a member that may be missing is left out.
            texts.extend(
                hostile()
                    .iter()
                    .filter(|text| *text != "null")
                    // A host's reason is text as it comes; the test above is about that.
                    .filter(|text| word != "unprepared" || !text.starts_with('"'))
                    .map(|text| with(body, &place, text)),
            );
            let own = body.pointer(&place).unwrap().to_string();
            if let Some(name) = place.rsplit('/').next()
                && place.matches('/').count() == 1
            {
                texts.push(format!("{{\"{name}\":{own},\"{name}\":{own}}}"));
            }
        }
        for text in texts {
            let (status, answer) =
                request("POST", &url, token.as_deref(), Some(text.clone().into()));
            let what = format!("{path} {}", shown(&text, 120));
            harmless(&what, status, &answer);
            assert!(
                (400..500).contains(&status) || word == "redemptions",
                "{what}: {status} {answer}"
            );
        }
    }
    for (word, _) in bodies {
        let known = |route: &&countersign::api::Route| route.path.ends_with(word);
        assert!(
            posts.iter().any(|route| known(&route)),
            "no endpoint ends with `{word}`"
        );
    }
    assert_eq!(house.sizes(), before, "nothing was written");
}
