//! The HTML report in a real Chromium: what a person sees and does, and what hostile logs cannot do.

use crate::audit_output::{estate, provenance, written};
use crate::browser::Browser;
use countersign_evidence::audit::{Form, Provenance, Report};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

const STYLE: &str = include_str!("../../templates/audit.css");

struct Page {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

fn page(html: &str) -> Page {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    std::fs::write(&file, html).unwrap();
    Page {
        _folder: folder,
        file,
    }
}

fn html(report: &Report) -> String {
    let sampled = Provenance {
        sample: Some((2, 7)),
        ..provenance()
    };
    written(Form::Html, report, &sampled)
}

/// The verdicts of the rows that can be seen, in their order.
fn seen(browser: &mut Browser) -> Vec<String> {
    let rows = browser.value(
        "Array.from(document.querySelectorAll('#actions tbody tr')).filter((row) => row.offsetParent !== null && !row.hidden).map((row) => row.dataset.verdict)",
    );
    serde_json::from_value(rows).unwrap()
}

#[test]
fn the_table_sorts_and_filters_by_keyboard_and_tells_how_many_it_shows() {
    let report = estate();
    let page = page(&html(&report));
    let mut browser = Browser::start();
    browser.seen(1280, false);
    browser.open(&page.file);
    let first = seen(&mut browser);
    assert_eq!(first.len(), report.actions.len());
    assert_eq!(first[0], "ungoverned");
    let sorted = |browser: &mut Browser| {
        browser.value("document.querySelector('#actions th').getAttribute('aria-sort')")
    };
    assert_eq!(sorted(&mut browser), Value::Null);
    browser.value("document.querySelector('#actions th button').focus()");
    browser.key("Enter", "\r");
    assert_eq!(sorted(&mut browser), "ascending");
    browser.key("Enter", "\r");
    assert_eq!(sorted(&mut browser), "descending");
    let mut backwards = seen(&mut browser);
    backwards.dedup();
    assert_eq!(backwards, ["other", "clean", "partial", "ungoverned"]);
    // By time, which is not the order of verdicts.
    browser.value("document.querySelectorAll('#actions th button')[1].click()");
    let times = browser.value(
        "Array.from(document.querySelectorAll('#actions tbody tr')).map((row) => row.cells[1].dataset.key)",
    );
    let times: Vec<String> = serde_json::from_value(times).unwrap();
    assert!(times.is_sorted() && times.len() > 3, "{times:?}");
    browser.value("document.querySelector('input[value=ungoverned]').click()");
    assert!(!seen(&mut browser).contains(&"ungoverned".to_owned()));
    browser.value("document.querySelector('#search').focus()");
    browser.call(
        "Input.insertText",
        json!({"text": "i-0A1B2C3D4E5F60718 ada"}),
    );
    browser.value("new Promise((done) => setTimeout(done, 300))");
    assert_eq!(seen(&mut browser), ["clean"]);
    let told = browser.value("document.querySelector('[role=status]').textContent");
    assert_eq!(
        told,
        format!("1 of {} actions are shown.", report.actions.len())
    );
    browser.value("document.querySelector('button[type=reset]').click()");
    browser.value("new Promise((done) => setTimeout(done, 100))");
    assert_eq!(seen(&mut browser).len(), report.actions.len());
    // A sampled action is a link away, and open.
    browser.value("document.querySelector('.ids a').click()");
    browser.value("new Promise((done) => setTimeout(done, 100))");
    assert_eq!(
        browser.value("document.querySelectorAll('#actions details[open]').length"),
        1
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn every_width_and_scheme_shows_all_of_it_and_asks_for_nothing() {
    let report = estate();
    let page = page(&html(&report));
    let mut browser = Browser::start();
    let mut grounds = Vec::new();
    for (width, dark) in [(320, false), (320, true), (1280, false), (1280, true)] {
        browser.seen(width, dark);
        browser.open(&page.file);
        let wide = browser
            .value("document.documentElement.scrollWidth")
            .as_u64();
        assert!(wide.unwrap() <= u64::from(width), "{wide:?} at {width}");
        grounds.push(browser.value("getComputedStyle(document.body).backgroundColor"));
        // Everything that is to be hit is large enough.
        let small = browser.value(
            "Array.from(document.querySelectorAll('button, input, summary, .ids a')).filter((one) => { const box = one.getBoundingClientRect(); return box.height > 0 && (box.height < 24 || box.width < 24); }).map((one) => one.outerHTML)",
        );
        assert_eq!(small, json!([]));
        // Gaps stand above the verdict, and headings are in order.
        let heads = browser.value(
            "Array.from(document.querySelectorAll('h1, h2, h3')).map((one) => one.tagName + ' ' + one.id)",
        );
        let heads: Vec<String> = serde_json::from_value(heads).unwrap();
        assert_eq!(heads[..3], ["H1 ", "H2 gaps", "H2 verdict-title"]);
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
    assert_eq!(grounds[0], grounds[2]);
    assert_ne!(grounds[0], grounds[1]);
}

/// axe-core, fetched by `cargo xtask test`.
fn axe() -> String {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("tools/axe-4.12.1/axe.min.js");
    std::fs::read_to_string(&file)
        .expect("axe-core is missing; hint: `cargo xtask test --quick audit_page` fetches it")
}

/// The rules of WCAG 2.2 A and AA, and of good practice, that the page in the browser fails, and how many
/// it keeps.
fn judged(browser: &mut Browser, axe: &str) -> (Vec<String>, u64) {
    browser.value(&format!("{axe}; 0"));
    let found = browser.value(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then((all) => ({failed: all.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.html).join(' ').slice(0, 300)), kept: all.passes.length}))",
    );
    let failed = serde_json::from_value(found["failed"].clone()).unwrap();
    (failed, found["kept"].as_u64().unwrap())
}

#[test]
fn axe_finds_nothing_that_wcag_forbids() {
    let report = estate();
    let page = page(&html(&report));
    let mut browser = Browser::start();
    let axe = axe();
    for (width, dark) in [(320, false), (320, true), (1280, false), (1280, true)] {
        browser.seen(width, dark);
        browser.open(&page.file);
        // All that can be opened is open.
        browser
            .value("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
        let (failed, kept) = judged(&mut browser, &axe);
        assert_eq!(failed, Vec::<String>::new(), "{width} {dark}");
        assert!(kept >= 25, "{kept}");
    }
    // It does find what is wrong.
    browser.value("document.documentElement.removeAttribute('lang')");
    let (failed, _) = judged(&mut browser, &axe);
    assert!(failed[0].starts_with("html-has-lang"), "{failed:?}");
}

#[test]
fn without_scripts_it_is_a_plain_table() {
    let report = estate();
    let page = page(&html(&report).replace("<script>", "<script type=\"text/none\">"));
    let mut browser = Browser::start();
    browser.open(&page.file);
    assert_eq!(seen(&mut browser).len(), report.actions.len());
    assert_eq!(
        browser.value("document.querySelectorAll('button').length"),
        1
    );
    assert_eq!(
        browser.value("document.querySelector('#filters').offsetParent"),
        Value::Null
    );
}

/// What a hostile log could say, everywhere where a log or a caller says something.
const HOSTILE: &str = "</td></script></style><script>window.pwned=1</script>\"><img src=x onerror=\"window.pwned=1\"><svg onload='window.pwned=1'>\u{202e}\u{1b}[2J{{7*7}}";

#[test]
fn hostile_words_are_inert() {
    let mut report = estate();
    let hostile = || HOSTILE.to_owned();
    report.environment = Some(hostile());
    report.zone = hostile();
    report.gaps.push(hostile());
    for file in &mut report.files {
        file.path = hostile().into();
        file.broken = Some(hostile());
    }
    for found in &mut report.actions {
        found.action.summary = hostile();
        found.action.system = hostile();
        found.action.items = vec![hostile()];
        found.action.actor.name = hostile();
        found.action.environment = Some(hostile());
        if let Some(change) = &mut found.change {
            change.number = hostile();
            change.requesters = vec![hostile()];
        }
        if found.approver.is_some() {
            found.approver = Some(hostile());
        }
    }
    let sampled = Provenance {
        command: vec!["countersign".into(), hostile()],
        version: hostile(),
        ..provenance()
    };
    let text = written(Form::Html, &report, &sampled);
    assert!(!text.contains(['\u{202e}', '\u{1b}']));
    assert_eq!(text.matches("<script").count(), 1);
    assert!(!text.contains("<img"));
    let mut browser = Browser::start();
    browser.open(&page(&text).file);
    assert_eq!(browser.value("typeof window.pwned"), "undefined");
    let rows = browser.value("document.querySelectorAll('#actions tbody tr').length");
    assert_eq!(rows, report.actions.len());
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // Were it not escaped, the page's own policy would still stop it; and says so.
    let raw = html(&estate()).replace("<h1>", &format!("{HOSTILE}<h1>"));
    browser.open(&page(&raw).file);
    assert_eq!(browser.value("typeof window.pwned"), "undefined");
    assert!(!browser.complaints().is_empty());
    // Without the policy it would have run: this test can fail.
    let open = raw.replace("Content-Security-Policy", "X-None");
    browser.open(&page(&open).file);
    assert_eq!(browser.value("window.pwned"), 1);
}

#[test]
fn a_large_estate_says_what_the_page_leaves_out() {
    let mut report = estate();
    let (clean, other): (Vec<_>, Vec<_>) =
        (report.actions.clone().into_iter()).partition(|found| {
            found
                .verdict
                .is_some_and(|verdict| verdict.as_str() == "clean")
        });
    report.actions = other;
    for _ in 0..5200 {
        report.actions.push(clean[0].clone());
    }
    let text = written(Form::Html, &report, &provenance());
    assert!(text.len() < 10_000_000, "{}", text.len());
    assert_eq!(text.matches("data-verdict=").count(), 5000);
    // The worst come first, and whoever is not judged comes last.
    let judged = report.autonomous().count();
    let said = format!(
        "left out are {} clean, {} not judged",
        judged - 5000,
        report.actions.len() - judged
    );
    assert!(text.contains(&said), "{said}");
    assert_eq!(
        text.matches("data-verdict=\"ungoverned\"").count() as u64,
        report.counts.ungoverned
    );
}

/// The custom properties that hold a colour, of the light theme and the dark one.
fn palettes() -> [BTreeMap<String, [f64; 3]>; 2] {
    let dark = STYLE.find("prefers-color-scheme: dark").unwrap();
    let end = dark + STYLE[dark..].find("} }").unwrap();
    [&STYLE[..dark], &STYLE[dark..end]].map(|text| {
        (text.split([';', '{']))
            .filter_map(|declaration| declaration.trim().strip_prefix("--")?.split_once(": #"))
            .map(|(name, hex)| {
                let part = |at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
                (name.to_owned(), [part(0), part(2), part(4)])
            })
            .collect()
    })
}

/// WCAG 2.2, contrast ratio.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let linear = colour.map(|part| {
            let part = part / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn colours_have_the_contrast_that_wcag_asks_for_in_both_themes() {
    for palette in palettes() {
        assert_eq!(palette.len(), 16, "{palette:?}");
        for ground in ["ground", "panel"] {
            for text in [
                "text",
                "quiet",
                "clean",
                "partial",
                "ungoverned",
                "other",
                "accent",
            ] {
                let ratio = contrast(palette[text], palette[ground]);
                assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
            }
            // Shapes and the edges of what can be used.
            let ratio = contrast(palette["edge"], palette[ground]);
            assert!(ratio >= 3.0, "edge on {ground}: {ratio:.2}");
        }
        for heat in ["heat1", "heat2", "heat3", "heat4"] {
            let ratio = contrast(palette["heattext"], palette[heat]);
            assert!(ratio >= 4.5, "{heat}: {ratio:.2}");
        }
    }
    assert!((contrast([0.0; 3], [255.0; 3]) - 21.0).abs() < 1e-9);
}
