//! What the search for the actors leaves.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::timeline::actor::Act;
use crate::timeline::sketch::{Caller, Numbered, place};

/// What the rounds of a [`super::Pivot`] found.
#[derive(Debug)]
pub struct Traced {
    /// The strong acts of each chosen actor.
    pub(in crate::timeline) strong: Vec<Vec<Act>>,
    /// The first of the strong acts of every other actor.
    pub(in crate::timeline) suspects: Vec<Act>,
    /// Index of the chosen actor to which a way of acting belongs.
    pub(in crate::timeline) members: HashMap<Caller, usize, Numbered>,
    /// Earliest use of any credential of each chosen actor, anywhere, in nanoseconds.
    pub(in crate::timeline) floors: Vec<Option<i64>>,
    /// Tools with which the owners of stolen credentials act where an actor acted as well, and when each was first
    /// seen, in nanoseconds.
    pub(in crate::timeline) owners: BTreeMap<Caller, i64>,
    /// Network addresses of the members from which so few principals act that what happens there may be laid at one
    /// actor's door.
    pub(super) own_addresses: HashSet<u64, Numbered>,
    pub(super) objects: Numbers,
    pub(super) names: BTreeSet<String>,
}

impl Traced {
    /// Whether the object must be read for the timeline: it holds acts of an actor, or a strong indicator that the
    /// boundary document names. `number` is the one that [`super::Pivot::see`] was given.
    #[must_use]
    pub fn wants(&self, number: u64, object: &str) -> bool {
        self.objects.contains(number) || self.names.contains(object)
    }

    /// Every way in which an actor acted.
    pub(in crate::timeline) fn members(&self) -> impl Iterator<Item = Caller> {
        self.members.keys().copied()
    }

    /// The strong acts of others that the boundary document lists.
    #[must_use]
    pub fn suspects(&self) -> &[Act] {
        &self.suspects
    }

    /// Whether an actor acted from this address of the network, and not many others.
    #[must_use]
    pub fn owns(&self, address: &str) -> bool {
        self.own_addresses.contains(&place(address.as_bytes()))
    }

    /// Whether the owner of a credential that an actor used acts this way.
    pub(in crate::timeline) fn is_owners(&self, who: Caller) -> bool {
        self.owners.contains_key(&who.tool())
    }

    /// Whether an actor acted this way.
    #[must_use]
    pub fn has(&self, who: Caller) -> bool {
        self.members.contains_key(&who)
    }
}

/// A set of numbers that count something from 0, in one bit each.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<u64>);

impl Numbers {
    fn place(number: u64) -> Option<(usize, u64)> {
        Some((usize::try_from(number / 64).ok()?, 1 << (number % 64)))
    }

    pub(super) fn insert(&mut self, number: u64) {
        let Some((word, bit)) = Self::place(number) else {
            return;
        };
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        Self::place(number).is_some_and(|(word, bit)| self.0.get(word).is_some_and(|word| word & bit != 0))
    }
}
