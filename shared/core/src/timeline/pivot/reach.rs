//! What belongs to which actor, and what would if it were seen.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::timeline::sketch::{Acting, Caller, Issuing, Numbered, Sketch};

/// What belongs to whom, and what would belong to somebody if it were seen.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) groups: Groups,
    pub(super) members: HashMap<Caller, usize, Numbered>,
    credential_at: HashMap<(u64, u64), usize, Numbered>,
    principal_at: HashMap<(u64, u64), usize, Numbered>,
    credentials: HashMap<u64, usize, Numbered>,
    addresses: HashMap<u64, usize, Numbered>,
    /// What the copies of one event share, and who made such copies.
    shared: HashMap<u64, usize, Numbered>,
    copies: HashMap<Caller, usize, Numbered>,
    expanded: HashSet<Caller, Numbered>,
    /// The owners' tools, which are no actor's.
    owners: HashSet<Caller, Numbered>,
    /// Whether anything was new since this was last taken.
    pub(super) grown: bool,
}

impl Reach {
    /// Nothing yet. Each of the owners' tools is a [`Caller::tool`].
    pub(super) fn new(groups: usize, owners: HashSet<Caller, Numbered>) -> Self {
        Self {
            owners,
            groups: Groups::new(groups),
            members: HashMap::default(),
            credential_at: HashMap::default(),
            principal_at: HashMap::default(),
            credentials: HashMap::default(),
            addresses: HashMap::default(),
            shared: HashMap::default(),
            copies: HashMap::default(),
            expanded: HashSet::default(),
            grown: false,
        }
    }

    /// Whether this is how the owner of a stolen credential acts.
    pub(super) fn is_owners(&self, who: Caller) -> bool {
        !self.owners.is_empty() && self.owners.contains(&who.tool())
    }

    /// Whether it knows of so many owners' tools.
    pub(super) fn knows_owners(&self, count: usize) -> bool {
        self.owners.len() == count
    }

    /// Parts with the owners' tools.
    pub(super) fn take_owners(&mut self) -> HashSet<Caller, Numbered> {
        std::mem::take(&mut self.owners)
    }

    pub(super) fn see(&mut self, sketch: &Sketch) {
        for Acting { who, .. } in &sketch.acting {
            let found = [
                self.credential_at.get(&(who.credential, who.address)).copied(),
                self.principal_at.get(&(who.principal, who.address)).copied(),
                self.credentials.get(&who.credential).copied(),
                self.addresses.get(&who.address).copied(),
            ];
            for group in found.into_iter().flatten() {
                self.expand(*who, group);
            }
        }
        for issuing in &sketch.issuing {
            self.see_issuing(issuing);
        }
    }

    fn see_issuing(&mut self, issuing: &Issuing) {
        let Issuing {
            by,
            credential,
            shared,
        } = *issuing;
        if self.is_owners(by) {
            return;
        }
        // The maker of a member's credential, if both were used from one address of the network.
        if by.is_remote()
            && let Some(group) = self.credential_at.get(&(credential, by.address)).copied()
        {
            self.expand(by, group);
        }
        if shared != 0
            && let Some(group) = self.shared.get(&shared).copied()
        {
            want(&mut self.copies, &mut self.groups, &mut self.grown, by, group);
        }
        let member = self.members.get(&by).filter(|_| self.expanded.contains(&by));
        for group in [member.copied(), self.copies.get(&by).copied()]
            .into_iter()
            .flatten()
        {
            self.want_credential(credential, group);
            if shared != 0 {
                want(&mut self.shared, &mut self.groups, &mut self.grown, shared, group);
            }
        }
    }

    /// Makes `who` a member, and what is tied to it wanted, unless that is how the owner acts.
    pub(super) fn expand(&mut self, who: Caller, group: usize) {
        if self.is_owners(who) {
            return;
        }
        want(&mut self.members, &mut self.groups, &mut self.grown, who, group);
        if !self.expanded.insert(who) {
            return;
        }
        self.grown = true;
        if who.is_remote() {
            self.want_both(who.credential, who.address, group);
            if who.principal != 0 {
                let key = (who.principal, who.address);
                want(
                    &mut self.principal_at,
                    &mut self.groups,
                    &mut self.grown,
                    key,
                    group,
                );
            }
        }
    }

    pub(super) fn want_both(&mut self, credential: u64, address: u64, group: usize) {
        if credential != 0 {
            let key = (credential, address);
            want(
                &mut self.credential_at,
                &mut self.groups,
                &mut self.grown,
                key,
                group,
            );
        }
    }

    pub(super) fn want_credential(&mut self, credential: u64, group: usize) {
        if credential != 0 {
            want(
                &mut self.credentials,
                &mut self.groups,
                &mut self.grown,
                credential,
                group,
            );
        }
    }

    pub(super) fn want_address(&mut self, address: u64, group: usize) {
        if address != 0 {
            want(
                &mut self.addresses,
                &mut self.groups,
                &mut self.grown,
                address,
                group,
            );
        }
    }
}

/// Notes that `key` belongs to a group. A key of two groups makes them one.
fn want<K: Hash + Eq>(
    wanted: &mut HashMap<K, usize, Numbered>,
    groups: &mut Groups,
    grown: &mut bool,
    key: K,
    group: usize,
) {
    match wanted.entry(key) {
        Entry::Occupied(known) => groups.join(*known.get(), group),
        Entry::Vacant(place) => {
            place.insert(group);
            *grown = true;
        }
    }
}

/// Groups that may turn out to be one. The smallest index stands for the group.
#[derive(Debug)]
pub(super) struct Groups(Vec<usize>);

impl Groups {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    pub(super) fn root(&mut self, mut of: usize) -> usize {
        while let Some(&above) = self.0.get(of)
            && above != of
        {
            let next = self.0.get(above).copied().unwrap_or(above);
            if let Some(shorter) = self.0.get_mut(of) {
                *shorter = next;
            }
            of = above;
        }
        of
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if let Some(above) = self.0.get_mut(one.max(other)) {
            *above = one.min(other);
        }
    }
}
