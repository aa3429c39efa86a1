//! The built-in indicators, by aim.
//!
//! The rules are written for this project; `source` names the published rule, incident or AWS document from
//! which the idea comes. `own reading` means that the API itself shows the danger and no incident is known.

use super::indicator::Indicator;

mod data;
mod defence;
mod identity;
mod recovery;

/// Every built-in indicator.
pub(super) fn all() -> impl Iterator<Item = &'static Indicator> {
    [
        data::INDICATORS,
        recovery::INDICATORS,
        defence::INDICATORS,
        identity::INDICATORS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests;
