//! Tile paths and entry bundles, as C2SP tlog-tiles writes them.

use countersign_ledger::{
    BundleError, ENTRY_BYTES_MAX, TREE_SIZE_MAX, TileKind, TilePath, encode_bundle, parse_bundle,
};
use proptest::prelude::*;

fn path(kind: TileKind, index: u64, size: u64) -> Option<String> {
    TilePath::in_tree(kind, index, size).map(|path| path.to_string())
}

#[test]
fn paths_of_the_specification() {
    let size = 1 << 40;
    let level = |level| TileKind::Hashes { level };
    for (kind, index, expected) in [
        (level(0), 0, "tile/0/000"),
        (level(0), 999, "tile/0/999"),
        (level(0), 1_000, "tile/0/x001/000"),
        (level(0), 1_067, "tile/0/x001/067"),
        (level(1), 1_234_067, "tile/1/x001/x234/067"),
        (TileKind::Entries, 1_234_067, "tile/entries/x001/x234/067"),
    ] {
        assert_eq!(path(kind, index, size).as_deref(), Some(expected));
    }
}

/// The example of the specification: a tree of size 70,000, and one of 256.
#[test]
fn partial_tiles_of_the_specification() {
    let level = |level| TileKind::Hashes { level };
    for (kind, index, size, expected) in [
        (level(0), 272, 70_000, Some("tile/0/272")),
        (level(0), 273, 70_000, Some("tile/0/273.p/112")),
        (level(0), 274, 70_000, None),
        (
            TileKind::Entries,
            273,
            70_000,
            Some("tile/entries/273.p/112"),
        ),
        (level(1), 0, 70_000, Some("tile/1/000")),
        (level(1), 1, 70_000, Some("tile/1/001.p/17")),
        (level(2), 0, 70_000, Some("tile/2/000.p/1")),
        (level(3), 0, 70_000, None),
        (level(0), 0, 256, Some("tile/0/000")),
        (level(0), 1, 256, None),
        (level(1), 0, 256, Some("tile/1/000.p/1")),
        (level(0), 0, 0, None),
    ] {
        assert_eq!(path(kind, index, size).as_deref(), expected);
    }
}

#[test]
fn other_paths_are_refused() {
    for refused in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/7/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x067",
        "tile/0/x001",
        "tile/0/x001/067.p/0",
        "tile/0/x001/067.p/256",
        "tile/0/x001/067.p/07",
        "tile/0/x001/067.p/",
        "tile/0/x001/067.p/1/2",
        "tile/0/xx01/067",
        "tile/0/x001/../067",
        "tile/entries/x999/x999/x999/x999/x999/x999/999",
        "tile/data/000",
        "/tile/0/000",
        "tile/0/000 ",
        "tile/0/000.tmp",
        "tile/0/٣٣٣",
    ] {
        assert!(TilePath::parse(refused).is_err(), "`{refused}` passed");
    }
}

#[test]
fn bundles_are_exact() {
    let longest = vec![7; ENTRY_BYTES_MAX];
    let bundle = encode_bundle(&[b"ab".as_slice(), b"", &longest]).unwrap();
    assert_eq!(bundle[..6], [0, 2, b'a', b'b', 0, 0]);
    assert_eq!(
        parse_bundle(&bundle, 3).unwrap(),
        [b"ab".as_slice(), b"", &longest]
    );
    assert_eq!(
        parse_bundle(&bundle, 4),
        Err(BundleError::Truncated { position: 3 })
    );
    assert_eq!(
        parse_bundle(&bundle, 2),
        Err(BundleError::Trailing(2 + ENTRY_BYTES_MAX))
    );
    assert_eq!(parse_bundle(&bundle, 257), Err(BundleError::TooMany(257)));
    for cut in 0..10 {
        assert!(parse_bundle(&bundle[..cut], 3).is_err());
    }
    assert!(encode_bundle(&vec![b""; 256]).is_ok());
    assert_eq!(
        encode_bundle(&vec![b""; 257]),
        Err(BundleError::TooMany(257))
    );
    assert_eq!(
        encode_bundle(&[vec![0; ENTRY_BYTES_MAX + 1]]),
        Err(BundleError::EntryTooLong {
            position: 0,
            bytes: ENTRY_BYTES_MAX + 1
        })
    );
}

proptest! {
    #[test]
    fn paths_round_trip(size in 1..TREE_SIZE_MAX, level in 0_u8..7, at in 0.0_f64..1.0, entries: bool) {
        let width = if entries { size } else { size >> (8 * u32::from(level)) };
        prop_assume!(width > 0);
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes { level } };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = (((width - 1) / 256) as f64 * at) as u64;
        let path = TilePath::in_tree(kind, index, size).unwrap();
        prop_assert_eq!(TilePath::parse(&path.to_string()), Ok(path));
    }

    #[test]
    fn any_text_is_a_path_or_an_error(text in "tile/(entries|[0-9]{1,2})/(x[0-9]{2,3}/){0,6}[0-9]{1,4}(\\.p/[0-9]{0,4})?") {
        if let Ok(path) = TilePath::parse(&text) {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn any_bytes_are_a_bundle_or_an_error(bytes in prop::collection::vec(0_u8..4, 0..200), count in 0_u16..40) {
        if let Ok(entries) = parse_bundle(&bytes, count) {
            prop_assert_eq!(encode_bundle(&entries).unwrap(), bytes);
        }
    }
}
