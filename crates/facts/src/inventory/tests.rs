//! Tests of the inventory: its file form, its strictest readings and its raises.

use super::*;
use countersign_domain::asset::{Criticality, Exposure, Scope, Tier};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::collections::BTreeSet;

const SMALL: &str = r#"
version = 1

[defaults]
environment = "production"
tier = 2
criticality = "medium"
exposure = "controlled"
owner = "maria.ortiz"

[[assets]]
host = "web-1"
exposure = "open"
scopes = ["pci"]
service = "shop"
neighbours = ["db-1"]

[[assets]]
host = "db-1"
tier = 1
criticality = "vital"
cluster = "pg"
account = "main"
neighbours = ["web-1", "backup-1"]

[[assets]]
host = "dev-1"
environment = "development"
tier = 4
"#;

fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

fn small() -> Inventory {
    Inventory::parse(SMALL.as_bytes()).unwrap()
}

#[test]
fn defaults_fill_in_and_the_rest_is_strict() {
    let inventory = small();
    let web = inventory.asset(&host("web-1"));
    assert_eq!(web.tier, Tier::new(2).unwrap());
    assert_eq!(web.exposure, Exposure::Open);
    assert_eq!(web.scopes, BTreeSet::from([Scope::Pci]));
    assert_eq!(inventory.hosts_in(Environment::Production), 2);
    assert_eq!(inventory.hosts_in(Environment::Staging), 0);

    assert_eq!(
        inventory.asset(&host("other")),
        Asset::unknown(host("other"))
    );
    let bare = Inventory::parse(b"version = 1\n[[assets]]\nhost = \"x\"\n").unwrap();
    let bare = bare.asset(&host("x"));
    assert!(bare.known);
    assert_eq!(
        (bare.environment, bare.tier, bare.criticality, bare.exposure),
        (
            Environment::Production,
            Tier::HIGHEST,
            Criticality::Vital,
            Exposure::Open
        )
    );
}

#[test]
fn it_reads_back_what_it_writes() {
    let inventory = small();
    let text = inventory.to_toml().unwrap();
    assert_eq!(Inventory::parse(text.as_bytes()).unwrap(), inventory);
}

fn refuses(text: &str, expected: Expect) {
    expected.assert_eq(&Inventory::parse(text.as_bytes()).unwrap_err().to_string());
}

#[test]
fn errors_name_line_and_field() {
    refuses(
        "version = 1\n[[assets]]\nhost = \"a\"\ntire = 2\n",
        expect![
            "line 4: unknown field `tire`, expected one of `host`, `environment`, `tier`, `criticality`, `exposure`, `scopes`, `owner`, `service`, `cluster`, `account`, `neighbours`"
        ],
    );
    refuses(
        "version = 1\n[[assets]]\nhost = \"a\"\n\n[[assets]]\nhost = \"a\"\n",
        expect!["line 6: `host` `a` is named twice; name each once"],
    );
    refuses(
        "version = 1\n[[assets]]\nhost = \"a\"\ntier = 7\n",
        expect!["line 4: tier `7` does not exist; tiers run from 0 (highest) to 4 (lowest)"],
    );
    refuses(
        "version = 2\n",
        expect!["line 1: `version` 2 is not known; expected 1"],
    );
    refuses(
        "version = 1\n[[assets]]\nhost = \"../a\"\n",
        expect![
            "line 3: `../a` is not a host id; expected 1 to 100 of `a-z A-Z 0-9 . _ @ / -`, starting with a letter or digit"
        ],
    );
    refuses(
        "version = 1\n[[assets]]\nhost = \"a\"\nservice = \"\"\n",
        expect!["line 4: `service` `` is not 1 to 100 printable bytes"],
    );
    assert!(matches!(
        Inventory::parse(b"version = 1\n\xff"),
        Err(InventoryError::Encoding { line: 2 })
    ));
    let mut many = "version = 1\n".to_owned();
    for number in 0..=ASSETS_MAX {
        many.push_str(&format!("[[assets]]\nhost = \"h{number}\"\n"));
    }
    assert!(matches!(
        Inventory::parse(many.as_bytes()),
        Err(InventoryError::TooManyAssets(_))
    ));
}

#[test]
fn reach_is_transitive_and_bounded() {
    let inventory = small();
    let reached = inventory.reach(&host("web-1"), 100);
    assert_eq!(
        reached.hosts,
        BTreeSet::from([host("backup-1"), host("db-1")])
    );
    assert!(reached.complete);
    let cut = inventory.reach(&host("web-1"), 1);
    assert_eq!((cut.hosts.len(), cut.complete), (1, false));
    assert!(inventory.reach(&host("other"), 100).hosts.is_empty());
}

/// Edits `SMALL` by replacing `from` with `to`, and shows what that raises.
fn raised(from: &str, to: &str, expected: Expect) {
    assert!(SMALL.contains(from), "{from}");
    let new = Inventory::parse(SMALL.replacen(from, to, 1).as_bytes()).unwrap();
    expected.assert_eq(&small().raises(&new).join("\n"));
}

#[test]
fn edits_that_raise_authority() {
    raised(
        "tier = 1",
        "tier = 3",
        expect!["`db-1` moves from tier 1 to tier 3, where less is asked"],
    );
    raised("tier = 1", "tier = 0", expect![""]);
    raised(
        "scopes = [\"pci\"]",
        "scopes = [\"sox\"]",
        expect!["`web-1` leaves the PCI DSS scope"],
    );
    raised(
        "\"vital\"",
        "\"low\"",
        expect!["`db-1` is lowered from vital to low criticality"],
    );
    raised(
        "\"open\"",
        "\"small\"",
        expect!["`web-1` is lowered from open to small exposure"],
    );
}

#[test]
fn more_edits_that_raise_authority() {
    raised(
        "tier = 1",
        "environment = \"staging\"\ntier = 1",
        expect!["`db-1` moves from production to staging"],
    );
    raised("\"development\"", "\"production\"", expect![""]);
    raised(
        "owner = \"maria.ortiz\"",
        "",
        expect![[r#"
            `db-1` changes its owner from `maria.ortiz` to none
            `dev-1` changes its owner from `maria.ortiz` to none
            `web-1` changes its owner from `maria.ortiz` to none"#]],
    );
    raised(
        "cluster = \"pg\"",
        "cluster = \"pg2\"",
        expect!["`db-1` changes its cluster from `pg` to `pg2`"],
    );
    let old = small();
    let fewer = Inventory::from_assets(old.assets().filter(|a| a.host != host("db-1")).cloned());
    assert_eq!(old.raises(&fewer), Vec::<String>::new());
    assert_eq!(
        fewer.raises(&old),
        [
            "`db-1` is added as production tier 1; until now it was unknown and held to the strictest reading"
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cutting or altering the file anywhere gives an inventory or an error, never a panic.
    #[test]
    fn mutated_files_never_panic(at in 0..SMALL.len(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = SMALL.as_bytes().to_vec();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = Inventory::parse(&bytes);
    }

    /// Whatever moves, an asset as strict as an unknown one is never a raise over anything.
    #[test]
    fn the_strictest_reading_raises_nothing(tier in 0_u8..=4) {
        let mut loose = Asset::unknown(host("a"));
        loose.tier = Tier::new(tier).unwrap();
        loose.environment = Environment::Development;
        let strict = Inventory::from_assets([Asset::unknown(host("a"))]);
        prop_assert!(Inventory::from_assets([loose]).raises(&strict).is_empty());
    }
}
