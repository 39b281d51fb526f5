//! A pair of values, one for each log. Not a map: both are always there.

use crate::contract::Log;

/// One value for each log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerLog<T> {
    /// That of the recommendations log.
    pub recommendations: T,
    /// That of the authorizations log.
    pub authorizations: T,
}

impl<T> PerLog<T> {
    /// The value of `log`.
    pub const fn get(&self, log: Log) -> &T {
        match log {
            Log::Recommendations => &self.recommendations,
            Log::Authorizations => &self.authorizations,
        }
    }

    /// The value of `log`, to change it.
    pub const fn get_mut(&mut self, log: Log) -> &mut T {
        match log {
            Log::Recommendations => &mut self.recommendations,
            Log::Authorizations => &mut self.authorizations,
        }
    }

    /// Makes both values, the recommendations log's first.
    ///
    /// # Errors
    /// The first that `make` gives.
    pub(crate) fn try_from_fn<E>(mut make: impl FnMut(Log) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            recommendations: make(Log::Recommendations)?,
            authorizations: make(Log::Authorizations)?,
        })
    }
}
