//! Tests of what follows from plans and observations.

use super::*;
use crate::samples::{NOW, asked, ids, observation, package, plan, proposal, step, time};

fn patterns() -> CategoryPatterns {
    CategoryPatterns(vec![
        (Category::Kernel, "linux-image-*".into()),
        (Category::Kernel, "grub*".into()),
        (Category::DatabaseEngine, "postgresql-*".into()),
        (Category::CoreSystem, "libc6".into()),
    ])
}

#[test]
fn patterns_fit_whole_names() {
    for (pattern, name, fits) in [
        ("libc6", "libc6", true),
        ("libc6", "libc6-dev", false),
        ("linux-image-*", "linux-image-6.1-amd64", true),
        ("linux-image-*", "linux-images", false),
        ("*-server", "mariadb-server", true),
        ("*a*b*c", "xaxbxaxbc", true),
        ("*a*b*c", "xaxbxaxb", false),
        ("*", "anything", true),
        ("", "ab", false),
    ] {
        assert_eq!(
            matches(pattern.as_bytes(), name.as_bytes()),
            fits,
            "{pattern} {name}"
        );
    }
}

#[test]
fn the_most_sensitive_word_on_a_step_counts() {
    let base = || step("libfoo1", Some("1"), Some("2"));
    for (step, expected) in [
        (base(), Category::Dependency),
        (
            Step {
                section: None,
                ..base()
            },
            Category::Application,
        ),
        (
            Step {
                section: Some("non-free/kernel".into()),
                ..base()
            },
            Category::Kernel,
        ),
        (
            Step {
                section: Some("database".into()),
                ..base()
            },
            Category::DatabaseEngine,
        ),
        (
            Step {
                security: true,
                ..base()
            },
            Category::OsSecurity,
        ),
        (
            Step {
                security: true,
                essential: true,
                ..base()
            },
            Category::CoreSystem,
        ),
        (step("libc6", Some("1"), Some("2")), Category::CoreSystem),
        (
            Step {
                security: true,
                ..step("postgresql-15", Some("1"), Some("2"))
            },
            Category::DatabaseEngine,
        ),
        (step("linux-image-6.1", None, Some("2")), Category::Kernel),
    ] {
        assert_eq!(step_category(&step, &patterns()), expected, "{step:?}");
    }
}

#[test]
fn plans_count_with_their_worst() {
    let small = plan("a", vec![asked()]);
    let mut unavailable = step("libold", Some("1"), Some("2"));
    unavailable.reverse.source = RollbackSource::Unavailable;
    let large = plan(
        "b",
        vec![
            asked(),
            step("libnew1", None, Some("1")),
            step("libgone", Some("1"), None),
            step("grub-pc", Some("1"), Some("2")),
            unavailable,
        ],
    );
    let facts = PlanFacts::of(&[&small], &patterns()).unwrap();
    assert_eq!(facts.category, Category::OsSecurity);
    assert!(facts.security_origin);
    assert_eq!(facts.chain, ChainFacts::default());
    assert_eq!(facts.rollback, RollbackSource::Cached);
    assert_eq!(
        facts.rollback_facts(RollbackPlan::None, 3),
        RollbackFacts {
            source: RollbackSource::Unavailable,
            prior_in_similar: 3
        }
    );

    let facts = PlanFacts::of(&[&small, &large], &patterns()).unwrap();
    assert_eq!(facts.category, Category::Kernel);
    assert_eq!(
        facts.chain,
        ChainFacts {
            upgraded: 2,
            added: 1,
            removed: 1
        }
    );
    assert_eq!(facts.rollback, RollbackSource::Unavailable);
}

#[test]
fn no_plan_is_no_fact() {
    assert_eq!(PlanFacts::of(&[], &patterns()), None);
    let empty = plan("a", Vec::new());
    assert_eq!(
        PlanFacts::of(&[&plan("b", vec![asked()]), &empty], &patterns()),
        None
    );
    // Steps that nobody asked for are not a security update, whatever their origin.
    let pulled = plan(
        "a",
        vec![Step {
            requested: false,
            ..asked()
        }],
    );
    assert!(
        !PlanFacts::of(&[&pulled], &patterns())
            .unwrap()
            .security_origin
    );
    let mixed = plan(
        "a",
        vec![
            asked(),
            Step {
                requested: true,
                ..step("other", Some("1"), Some("2"))
            },
        ],
    );
    assert!(
        !PlanFacts::of(&[&mixed], &patterns())
            .unwrap()
            .security_origin
    );
}

fn read(words: &[&str]) -> CveCoverage {
    CveCoverage::Read { ids: ids(words) }
}

/// The CVE fact for hosts `a` and `b`, with these observations.
fn fact(observations: &[Observation]) -> Fact<BTreeSet<CveId>> {
    let observed: Vec<Observed<'_>> = observations
        .iter()
        .map(|observation| Observed {
            observation,
            digest: Digest::of(observation.host.as_str().as_bytes()),
        })
        .collect();
    cves(&proposal(&["a", "b"]), &observed, 3600, time(NOW))
}

#[test]
fn cve_ids_are_the_union_over_hosts_by_their_latest_word() {
    let fact = fact(&[
        observation("a", "2026-05-20T11:50:00Z", read(&["CVE-2026-0001"])),
        observation("a", "2026-05-20T11:40:00Z", read(&["CVE-2026-0009"])),
        observation("b", "2026-05-20T11:30:00Z", read(&["CVE-2026-0002"])),
    ]);
    assert_eq!(
        fact.value,
        Known::Fresh(ids(&["CVE-2026-0001", "CVE-2026-0002"]))
    );
    assert_eq!(fact.source, "host b and 1 more");
    assert_eq!(fact.at, Some(time("2026-05-20T11:30:00Z")));
    assert_eq!(fact.digest, Some(Digest::of(b"b")));
}

#[test]
fn one_host_that_does_not_know_makes_it_missing_or_stale() {
    let good = || observation("a", "2026-05-20T11:50:00Z", read(&["CVE-2026-0001"]));
    let missing = |other: &[Observation]| {
        let all: Vec<Observation> = std::iter::once(good())
            .chain(other.iter().cloned())
            .collect();
        match fact(&all).value {
            Known::Missing(why) => why,
            known => panic!("{known:?}"),
        }
    };
    assert_eq!(
        missing(&[]),
        "it was never observed; run `countersign-host observe` there"
    );
    assert_eq!(
        missing(&[observation(
            "b",
            NOW,
            CveCoverage::Unknown {
                why: "no\nchangelog".into()
            }
        )]),
        "`libssl3`: no\\u{a}changelog"
    );
    let mut other = observation("b", NOW, read(&[]));
    other.pending[0].to = crate::samples::version("3");
    assert_eq!(
        missing(&[other]),
        "its latest observation does not list `libssl3` at `2`"
    );
    let old = observation("b", "2026-05-20T10:00:00Z", read(&[]));
    assert_eq!(
        fact(&[good(), old]).value,
        Known::Stale(ids(&["CVE-2026-0001"]))
    );
    let ahead = observation("b", "2026-05-20T13:00:00Z", read(&[]));
    assert!(matches!(fact(&[good(), ahead]).value, Known::Stale(_)));
}

#[test]
fn evidence_without_a_sound_time_is_as_old_as_can_be() {
    let now = time(NOW);
    let age =
        |seconds: &[i64]| evidence_age_seconds(seconds.iter().map(|s| now.plus_seconds(-s)), now);
    assert_eq!(age(&[10, 700, 20]), 700);
    assert_eq!(age(&[-200]), 0);
    assert_eq!(age(&[-301, 5]), u32::MAX);
    assert_eq!(age(&[]), u32::MAX);
}

#[test]
fn a_pending_upgrade_counts_what_it_pulls_in() {
    let mut pending = observation("a", NOW, read(&[])).pending.remove(0);
    assert_eq!(
        pending_category(&pending, &patterns()),
        Category::OsSecurity
    );
    pending.pulls_in = vec![step("grub-pc", Some("1"), Some("2")).transition];
    assert_eq!(pending_category(&pending, &patterns()), Category::Kernel);
    assert_eq!(patterns().category(&package("libfoo1")), None);
}
