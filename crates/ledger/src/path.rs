//! Paths of tiles and entry bundles (C2SP tlog-tiles). Pure text: no file is touched.

use std::fmt;

use crate::limits::{TILE_WIDTH, TREE_SIZE_MAX};
use crate::tile::tile_width;

/// Highest level that a tree of [`TREE_SIZE_MAX`] entries has.
const LEVEL_MAX: u8 = 6;

/// What a tile file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileKind {
    /// Hashes of this level; level 0 holds leaf hashes.
    Hashes {
        /// Level of the 256-ary tree.
        level: u8,
    },
    /// Entries, each with its length before it.
    Entries,
}

/// The path of a tile or bundle, such as `tile/0/x001/067.p/8`, relative to the log's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// A text that is no path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a tile path; hint: `tile/<level or entries>/<index as x001/067>[.p/<width>]`")]
pub struct TilePathError;

impl TilePath {
    /// The tile at `index` in a tree of `tree_size` entries, partial or full as that tree has it;
    /// `None` where the tree has no such tile.
    #[must_use]
    pub fn in_tree(kind: TileKind, index: u64, tree_size: u64) -> Option<Self> {
        let level = match kind {
            TileKind::Hashes { level } => level,
            TileKind::Entries => 0,
        };
        let width = tile_width(tree_size, level, index);
        (width > 0 && level <= LEVEL_MAX && tree_size <= TREE_SIZE_MAX).then_some(Self {
            kind,
            index,
            width,
        })
    }

    /// What the file holds.
    #[must_use]
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Which tile of its level, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries: 1 to 256.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether fewer than 256.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.width < TILE_WIDTH
    }

    /// Reads a path, in its one canonical form.
    ///
    /// # Errors
    /// [`TilePathError`].
    pub fn parse(path: &str) -> Result<Self, TilePathError> {
        Self::read(path)
            // INVARIANT: one path for one tile.
            .filter(|read| read.to_string() == path)
            .ok_or(TilePathError)
    }

    fn read(path: &str) -> Option<Self> {
        // The longest: `tile/entries/x001/x099/x511/x627/775.p/255`.
        if path.len() > 64 {
            return None;
        }
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes {
                level: decimal(level)?
                    .try_into()
                    .ok()
                    .filter(|l| *l <= LEVEL_MAX)?,
            },
        };
        let (groups, width) = match rest.split_once(".p/") {
            Some((groups, width)) => (groups, u16::try_from(decimal(width)?).ok()?),
            None => (rest, TILE_WIDTH),
        };
        let mut index = 0_u64;
        for group in groups.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            index = index.checked_mul(1000)?.checked_add(decimal(digits)?)?;
        }
        let known = index < TREE_SIZE_MAX / u64::from(TILE_WIDTH);
        (known && (1..=TILE_WIDTH).contains(&width)).then_some(Self { kind, index, width })
    }
}

fn decimal(digits: &str) -> Option<u64> {
    let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    only_digits.then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (position, group) in groups.iter().enumerate().rev() {
            if position > 0 {
                write!(f, "x{group:03}/")?;
            } else {
                write!(f, "{group:03}")?;
            }
        }
        if self.is_partial() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}
