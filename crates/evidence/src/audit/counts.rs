//! Counts by keys, of which few come again and again: those are found without a search. What they come
//! to is a map, however they came.

use std::collections::BTreeMap;

/// Keys that are at hand at most.
const NEAR: usize = 64;

/// How often each key came.
#[derive(Debug)]
pub(super) struct Counts<K> {
    /// Keys that came last, each in the one place where it may be, with how often since.
    near: Vec<Option<(K, u64)>>,
    all: BTreeMap<K, u64>,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self {
            near: Vec::new(),
            all: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy> Counts<K> {
    /// Counts a key. Keys that come by turns should differ in `spread`.
    pub(super) fn add(&mut self, key: K, spread: usize) {
        if self.near.is_empty() {
            self.near.resize(NEAR, None);
        }
        let Some(place) = self.near.get_mut(spread % NEAR) else {
            return;
        };
        match place {
            Some((known, count)) if *known == key => *count += 1,
            _ => {
                if let Some((other, count)) = place.replace((key, 1)) {
                    *self.all.entry(other).or_default() += count;
                }
            }
        }
    }

    /// What these counts and others come to.
    pub(super) fn and(&mut self, other: Self) {
        for (key, count) in other.into_map() {
            *self.all.entry(key).or_default() += count;
        }
    }

    /// How often each key came.
    pub(super) fn into_map(mut self) -> BTreeMap<K, u64> {
        for (key, count) in self.near.into_iter().flatten() {
            *self.all.entry(key).or_default() += count;
        }
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn they_are_those_of_a_map(
            keys in prop::collection::vec((0..100_u8, any::<bool>()), 0..300),
            spread in 1..70_usize,
        ) {
            let mut parts: [Counts<u8>; 2] = Default::default();
            let mut expected = BTreeMap::new();
            for (key, which) in keys {
                parts[usize::from(which)].add(key, usize::from(key) / spread);
                *expected.entry(key).or_default() += 1;
            }
            let [mut one, other] = parts;
            one.and(other);
            prop_assert_eq!(one.into_map(), expected);
        }
    }
}
