//! Which of many like hits are kept.

use std::collections::BTreeSet;

use super::agent::Agent;

/// The first of all, as many as are kept, and the first with each tool: however much one tool does, what was done with
/// another is not forgotten. Kinds of tools are bounded.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    /// In no order: few are kept, and mostly one.
    early: Vec<(T, Agent)>,
    /// By tool.
    firsts: Vec<(Agent, T)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            early: Vec::new(),
            firsts: Vec::new(),
        }
    }
}

impl<T: Ord + Clone> Kept<T> {
    /// Adds one, and says which are kept no more: itself, it may be. The order of additions changes nothing.
    pub(super) fn add(&mut self, item: T, agent: Agent, most: usize) -> impl Iterator<Item = T> {
        let later = match self.place(agent) {
            Ok(at) => self
                .firsts
                .get_mut(at)
                .filter(|(_, first)| item < *first)
                .map(|(_, first)| std::mem::replace(first, item.clone())),
            Err(at) => {
                self.firsts.insert(at, (agent, item.clone()));
                None
            }
        };
        let later = later.filter(|item| !self.early.iter().any(|(known, _)| known == item));
        let item = (item, agent);
        if !self.early.contains(&item) {
            self.early.push(item);
        }
        let last = (self.early.len() > most).then(|| self.take_last()).flatten();
        let last = last.filter(|(item, agent)| {
            let first = self.place(*agent).ok().and_then(|at| self.firsts.get(at));
            first.is_none_or(|(_, first)| first != item)
        });
        later.into_iter().chain(last.map(|(item, _)| item))
    }

    fn place(&self, agent: Agent) -> Result<usize, usize> {
        self.firsts.binary_search_by_key(&agent, |(agent, _)| *agent)
    }

    fn take_last(&mut self) -> Option<(T, Agent)> {
        let (at, _) = self.early.iter().enumerate().max_by_key(|(_, item)| *item)?;
        Some(self.early.swap_remove(at))
    }

    /// All that are kept.
    pub(super) fn into_items(self) -> BTreeSet<T> {
        let early = self.early.into_iter().map(|(item, _)| item);
        let firsts = self.firsts.into_iter().map(|(_, item)| item);
        early.chain(firsts).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_first_of_all_and_of_each_tool_are_kept_in_any_order(
            items in prop::collection::btree_map(0..200_u16, 0..6_u16, 0..60), turn in any::<u16>(), most in 1..8_usize,
        ) {
            let agent = |number: u16| Agent::of(&number.to_string());
            let mut expected: BTreeSet<u16> = items.keys().copied().take(most).collect();
            for tool in 0..6 {
                expected.extend(items.iter().find(|(_, of)| **of == tool).map(|(item, _)| *item));
            }
            let mut shuffled: Vec<_> = items.iter().collect();
            shuffled.sort_by_key(|(item, _)| item.wrapping_mul(turn | 1) ^ turn);
            let (mut kept, mut left) = (Kept::default(), BTreeSet::new());
            for (item, tool) in shuffled {
                left.insert(*item);
                for gone in kept.add(*item, agent(*tool), most) {
                    prop_assert!(left.remove(&gone), "{} goes twice", gone);
                }
            }
            prop_assert_eq!(&left, &expected);
            prop_assert_eq!(kept.into_items(), expected);
        }
    }
}
