//! Sets of settings of the switches, without enumerating them.

use super::evaluate::Truth;

/// The allowed settings of the switches at one point: `{b : b∩allow≠∅, b∩deny=∅}`.
#[derive(Clone, Copy)]
pub(super) struct Family {
    /// Without the denied ones.
    allow: u128,
    deny: u128,
}

impl Family {
    pub(super) fn at(statements: &[Truth], at: &[usize]) -> Self {
        let (mut allow, mut deny) = (0, 0);
        for statement in statements {
            let applies = statement
                .per_axis
                .iter()
                .zip(at)
                .all(|(truth, index)| truth.get(*index).copied().unwrap_or(false));
            if applies {
                *(if statement.allow { &mut allow } else { &mut deny }) |= statement.switch;
            }
        }
        Self {
            allow: allow & !deny,
            deny,
        }
    }

    fn is_empty(self) -> bool {
        self.allow == 0
    }

    /// Inclusion: the settings with a single switch show the allowed ones, those with two the denied ones.
    pub(super) fn within(self, other: Self) -> bool {
        self.is_empty() || (self.allow & !other.allow == 0 && other.deny & !self.deny == 0)
    }

    /// A counterexample is outside of each of the two, because it misses its allowed switches or hits a denied one.
    pub(super) fn within_union(self, one: Self, other: Self) -> bool {
        if self.is_empty() {
            return true;
        }
        let ways = |family: Self| [(family.allow, None), (0, Some(family.deny))];
        for (off_one, hit_one) in ways(one) {
            for (off_other, hit_other) in ways(other) {
                let off = self.deny | off_one | off_other;
                let possible = |hit: Option<u128>| hit.is_none_or(|hit| hit & !off != 0);
                if self.allow & !off != 0 && possible(hit_one) && possible(hit_other) {
                    return false;
                }
            }
        }
        true
    }
}
