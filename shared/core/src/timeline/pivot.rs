//! From strong indicators to everything that the same actor did, over the sketches of all objects.
//!
//! A node is a [`Caller`]: principal, credential and place. Acts of one actor are tied together by
//! * the same credential or principal from the same address,
//! * credentials that the actor made (`AssumeRole`, `CreateAccessKey`, federation), wherever they are used,
//! * and back from a credential to its maker, if both were used from the same address: a role or key that
//!   was made in good faith and stolen later does not incriminate its maker.
//!
//! The sketches pass by in rounds, in any order, until a round brings nothing new: nothing is held but what belongs
//! to an actor, so memory does not grow with the logs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::actor::{Act, Actor};
use super::boundary::REASONS_KEPT;
use super::sketch::{Acting, Caller, Numbered, Sketch, place};

mod reach;

use reach::Reach;

/// Principals that may share an address and still count as one actor's; more is an office or a proxy.
const PRINCIPALS_PER_ADDRESS: usize = 5;

/// The search for the actors behind strong indicators. Show every sketch to [`Pivot::see`], then call
/// [`Pivot::turn`], and begin again as long as that says so.
#[derive(Debug)]
pub struct Pivot {
    /// Everything to begin at once more, when it is known whom the logs alone accuse.
    again: Option<Vec<Act>>,
    /// The strong acts of those whom the logs alone accuse, if there is more evidence than the logs.
    accused: Option<BTreeSet<Act>>,
    starts: Vec<Start>,
    phase: Phase,
    reach: Reach,
    suspects: Vec<Act>,
    /// Strong acts of the chosen actors.
    chosen: Vec<Vec<Act>>,
    floors: HashMap<u64, i64, Numbered>,
    /// Principals at the network addresses of the members.
    principals: HashMap<u64, HashSet<u64, Numbered>, Numbered>,
    objects: Numbers,
}

/// A set of numbers that count something from 0, in one bit each.
#[derive(Debug, Default)]
struct Numbers(Vec<u64>);

impl Numbers {
    fn place(number: u64) -> Option<(usize, u64)> {
        Some((usize::try_from(number / 64).ok()?, 1 << (number % 64)))
    }

    fn insert(&mut self, number: u64) {
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

    fn contains(&self, number: u64) -> bool {
        Self::place(number).is_some_and(|(word, bit)| self.0.get(word).is_some_and(|word| word & bit != 0))
    }
}

/// What the rounds of a [`Pivot`] found.
#[derive(Debug)]
pub struct Traced {
    /// The strong acts of each chosen actor.
    pub(super) strong: Vec<Vec<Act>>,
    /// The first of the strong acts of every other actor.
    pub(super) suspects: Vec<Act>,
    /// Index of the chosen actor to which a way of acting belongs.
    pub(super) members: HashMap<Caller, usize, Numbered>,
    /// Earliest use of any credential of each chosen actor, anywhere, in nanoseconds.
    pub(super) floors: Vec<Option<i64>>,
    /// Network addresses of the members from which so few principals act that what happens there may be laid at one
    /// actor's door.
    own_addresses: HashSet<u64, Numbered>,
    objects: Numbers,
    names: BTreeSet<String>,
}

impl Traced {
    /// Whether the object must be read for the timeline: it holds acts of an actor, or a strong indicator that the
    /// boundary document names. `number` is the one that [`Pivot::see`] was given.
    #[must_use]
    pub fn wants(&self, number: u64, object: &str) -> bool {
        self.objects.contains(number) || self.names.contains(object)
    }

    /// Every way in which an actor acted.
    pub(super) fn members(&self) -> impl Iterator<Item = Caller> {
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

    /// Whether an actor acted this way.
    #[must_use]
    pub fn has(&self, who: Caller) -> bool {
        self.members.contains_key(&who)
    }
}

#[derive(Debug)]
struct Start {
    who: Caller,
    acts: Vec<Act>,
}

/// Which starts, and which parts of them, were seen in the logs. A finding may know only a key or only an address.
#[derive(Debug, Default)]
struct Presence {
    exact: HashMap<Caller, bool, Numbered>,
    credentials: HashMap<u64, bool, Numbered>,
    addresses: HashMap<u64, bool, Numbered>,
    pairs: HashMap<(u64, u64), bool, Numbered>,
}

impl Presence {
    fn of(starts: &[Start]) -> Self {
        let mut presence = Self::default();
        for Start { who, .. } in starts {
            presence.exact.insert(*who, false);
            if who.credential != 0 {
                presence.credentials.insert(who.credential, false);
            }
            if who.address != 0 {
                presence.addresses.insert(who.address, false);
            }
            if who.credential != 0 && who.address != 0 {
                presence.pairs.insert((who.credential, who.address), false);
            }
        }
        presence
    }

    /// Whether this is the first sight of a whole start.
    fn see(&mut self, who: Caller) -> bool {
        if let Some(seen) = self.credentials.get_mut(&who.credential) {
            *seen = true;
            if let Some(both) = self.pairs.get_mut(&(who.credential, who.address)) {
                *both = true;
            }
        }
        if let Some(seen) = self.addresses.get_mut(&who.address) {
            *seen = true;
        }
        self.exact
            .get_mut(&who)
            .is_some_and(|seen| !std::mem::replace(seen, true))
    }
}

#[derive(Debug)]
enum Phase {
    /// Growing the actors, and looking up the starts.
    Begin(Presence),
    /// Growing the actors.
    Reach,
    /// Counting the principals at the addresses of the chosen actors' strong acts.
    Neighbours(HashMap<u64, Address, Numbered>),
    /// Growing the chosen actors by their neighbours.
    Extend,
    /// Finding the objects that hold the chosen actors' acts, and the first use of their credentials.
    Locate,
    Done,
}

#[derive(Debug)]
struct Address {
    actors: BTreeSet<usize>,
    principals: HashSet<u64, Numbered>,
}

impl Pivot {
    /// A search that begins at strong acts.
    #[must_use]
    pub fn new(strong: Vec<Act>) -> Self {
        let mut starts = BTreeMap::<_, Vec<Act>>::new();
        for act in strong {
            starts.entry(Caller::of(&act.who)).or_default().push(act);
        }
        let starts: Vec<_> = starts
            .into_iter()
            .map(|(who, acts)| Start { who, acts })
            .collect();
        let mut reach = Reach::new(starts.len());
        for (group, start) in starts.iter().enumerate() {
            reach.members.insert(start.who, group);
        }
        Self {
            again: None,
            accused: None,
            phase: if starts.is_empty() {
                Phase::Done
            } else {
                Phase::Begin(Presence::of(&starts))
            },
            starts,
            reach,
            suspects: Vec::new(),
            chosen: Vec::new(),
            floors: HashMap::default(),
            principals: HashMap::default(),
            objects: Numbers::default(),
        }
    }

    /// A search that begins at the strong acts in the logs and at what was said beside them. That only ever adds: the
    /// actors whom the logs alone accuse are accused with it too.
    #[must_use]
    pub fn beside(strong: Vec<Act>, late: Vec<Act>) -> Self {
        if late.is_empty() {
            return Self::new(strong);
        }
        let mut all = strong.clone();
        all.extend(late);
        let mut alone = Self::new(strong);
        if matches!(alone.phase, Phase::Done) {
            alone = Self::new(all);
            alone.accused = Some(BTreeSet::new());
        } else {
            alone.again = Some(all);
        }
        alone
    }

    /// Takes note of one object's sketch. `number` is the caller's own for the object.
    pub fn see(&mut self, number: u64, sketch: &Sketch) {
        match &mut self.phase {
            Phase::Begin(presence) => {
                for Acting { who, .. } in &sketch.acting {
                    if presence.see(*who)
                        && let Some(group) = self.reach.members.get(who).copied()
                    {
                        self.reach.expand(*who, group);
                    }
                }
                self.reach.see(sketch);
            }
            Phase::Reach | Phase::Extend => self.reach.see(sketch),
            Phase::Neighbours(addresses) => {
                for Acting { who, .. } in &sketch.acting {
                    if let Some(address) = addresses.get_mut(&who.address)
                        && address.principals.len() <= PRINCIPALS_PER_ADDRESS
                    {
                        address.principals.insert(who.principal);
                    }
                }
            }
            Phase::Locate => {
                for Acting { who, first } in &sketch.acting {
                    if let Some(known) = self.floors.get_mut(&who.credential) {
                        *known = (*known).min(*first);
                    }
                    if let Some(principals) = self.principals.get_mut(&who.address)
                        && principals.len() <= PRINCIPALS_PER_ADDRESS
                    {
                        principals.insert(who.principal);
                    }
                    if self.reach.members.contains_key(who) {
                        self.objects.insert(number);
                    }
                }
            }
            Phase::Done => {}
        }
    }

    /// Ends a round. Whether another is needed.
    pub fn turn(&mut self) -> bool {
        let grown = std::mem::take(&mut self.reach.grown);
        self.phase = match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Begin(presence) => {
                self.seed(&presence);
                Phase::Reach
            }
            Phase::Reach if grown => Phase::Reach,
            Phase::Reach => {
                let addresses = self.choose();
                if let Some(all) = self.again.take() {
                    let accused = std::mem::take(&mut self.chosen).into_iter().flatten().collect();
                    *self = Self::new(all);
                    self.accused = Some(accused);
                    return true;
                }
                if addresses.is_empty() {
                    self.locate()
                } else {
                    Phase::Neighbours(addresses)
                }
            }
            Phase::Neighbours(addresses) => {
                for (address, found) in addresses {
                    if found.principals.len() <= PRINCIPALS_PER_ADDRESS {
                        for actor in found.actors {
                            self.reach.want_address(address, actor);
                        }
                    }
                }
                Phase::Extend
            }
            Phase::Extend if grown => Phase::Extend,
            Phase::Extend => self.locate(),
            Phase::Locate | Phase::Done => Phase::Done,
        };
        !matches!(self.phase, Phase::Done)
    }

    /// Where the logs do not know a start exactly: what is known of it.
    fn seed(&mut self, presence: &Presence) {
        for (group, Start { who, .. }) in self.starts.iter().enumerate() {
            let Caller {
                credential, address, ..
            } = *who;
            if presence.exact.get(who) == Some(&true) {
                continue;
            }
            if presence.pairs.get(&(credential, address)) == Some(&true) {
                self.reach.want_both(credential, address, group);
            } else if presence.credentials.get(&credential) == Some(&true) {
                // The pair was never seen together: rather too much than nothing.
                self.reach.want_credential(credential, group);
            } else if credential == 0 && presence.addresses.get(&address) == Some(&true) {
                self.reach.want_address(address, group);
            }
        }
    }

    /// Parts the confirmed actors from the others, and returns the addresses of their strong acts.
    ///
    /// Where none is confirmed all are chosen: then the earliest plausible one counts.
    fn choose(&mut self) -> HashMap<u64, Address, Numbered> {
        let mut actors = BTreeMap::<usize, Vec<Act>>::new();
        for (group, start) in std::mem::take(&mut self.starts).into_iter().enumerate() {
            actors
                .entry(self.reach.groups.root(group))
                .or_default()
                .extend(start.acts);
        }
        for acts in actors.values_mut() {
            acts.sort();
        }
        let any_confirmed = actors.values().any(|acts| is_confirmed(acts));
        let (mut chosen, others): (Vec<_>, Vec<_>) =
            actors.into_iter().partition(|(_, acts)| match &self.accused {
                Some(accused) => is_confirmed(acts) || acts.iter().any(|act| accused.contains(act)),
                None => !any_confirmed || is_confirmed(acts),
            });
        chosen.sort_by(|a, b| a.1.cmp(&b.1));
        self.suspects = others
            .into_iter()
            .filter_map(|(_, acts)| acts.into_iter().next())
            .collect();
        self.suspects.sort();
        self.suspects.truncate(REASONS_KEPT);
        let places: HashMap<usize, usize> = chosen
            .iter()
            .enumerate()
            .map(|(place, (group, _))| (*group, place))
            .collect();
        let mut before = std::mem::replace(&mut self.reach, Reach::new(chosen.len()));
        for (who, group) in std::mem::take(&mut before.members) {
            if let Some(place) = places.get(&before.groups.root(group)) {
                self.reach.members.insert(who, *place);
            }
        }
        let mut addresses = HashMap::<_, Address, Numbered>::default();
        for (place, (_, acts)) in chosen.iter().enumerate() {
            for act in acts {
                let who = Caller::of(&act.who);
                if who.is_remote() {
                    let address = addresses.entry(who.address).or_insert_with(|| Address {
                        actors: BTreeSet::new(),
                        principals: HashSet::default(),
                    });
                    address.actors.insert(place);
                }
            }
        }
        self.chosen = chosen.into_iter().map(|(_, acts)| acts).collect();
        addresses
    }

    fn locate(&mut self) -> Phase {
        self.floors = self
            .reach
            .members
            .keys()
            .filter(|who| who.credential != 0)
            .map(|who| (who.credential, i64::MAX))
            .collect();
        let remote = self.reach.members.keys().filter(|who| who.is_remote());
        self.principals = remote.map(|who| (who.address, HashSet::default())).collect();
        Phase::Locate
    }

    /// What was found, once [`Pivot::turn`] asked for no further round.
    #[must_use]
    pub fn finish(mut self) -> Traced {
        // Neighbours may have shown that two actors are one.
        let mut places = BTreeMap::<usize, usize>::new();
        let mut strong = Vec::<Vec<Act>>::new();
        for (place, acts) in self.chosen.into_iter().enumerate() {
            let root = self.reach.groups.root(place);
            let at = *places.entry(root).or_insert_with(|| {
                strong.push(Vec::new());
                strong.len() - 1
            });
            if let Some(known) = strong.get_mut(at) {
                known.extend(acts);
                known.sort();
            }
        }
        let mut floors = vec![None; strong.len()];
        let mut members = HashMap::default();
        for (who, place) in std::mem::take(&mut self.reach.members) {
            let Some(&actor) = places.get(&self.reach.groups.root(place)) else {
                continue;
            };
            members.insert(who, actor);
            let first = self.floors.get(&who.credential).filter(|at| **at != i64::MAX);
            if let (Some(floor), Some(first)) = (floors.get_mut(actor), first) {
                *floor = Some(floor.map_or(*first, |known: i64| known.min(*first)));
            }
        }
        let names = strong
            .iter()
            .flatten()
            .chain(&self.suspects)
            .map(|act| act.evidence.object.clone())
            .collect();
        let own_addresses = self
            .principals
            .into_iter()
            .filter(|(_, principals)| principals.len() <= PRINCIPALS_PER_ADDRESS)
            .map(|(address, _)| address)
            .collect();
        Traced {
            strong,
            suspects: self.suspects,
            members,
            floors,
            own_addresses,
            objects: self.objects,
            names,
        }
    }
}

fn is_confirmed(strong: &[Act]) -> bool {
    let actor = Actor {
        members: BTreeSet::new(),
        acts: Vec::new(),
        strong: strong.to_vec(),
    };
    actor.is_confirmed()
}

#[cfg(test)]
mod tests;
