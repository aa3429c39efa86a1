//! From strong indicators to everything that the same actor did, over the sketches of all objects.
//!
//! A node is a [`Caller`]: principal, credential and place. Acts of one actor are tied together by
//! * the same credential or principal from the same address,
//! * credentials that the actor made (`AssumeRole`, `CreateAccessKey`, federation), wherever they are used,
//! * and back from a credential to its maker, if both were used from the same address: a role or key that
//!   was made in good faith and stolen later does not incriminate its maker.
//!
//! What a principal does with a tool that was at home at the place of a strong act long before ([`super::agent`]) is its
//! owner's, and ties nothing to anything.
//!
//! The sketches pass by in rounds, in any order, until a round brings nothing new: nothing is held but what belongs
//! to an actor, so memory does not grow with the logs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::actor::{Act, Actor};
use super::agent::Habit;
use super::boundary::REASONS_KEPT;
use super::sketch::{Acting, Caller, Numbered, Sketch};

mod reach;
mod traced;

use reach::Reach;
use traced::Numbers;
pub use traced::Traced;

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
    /// Where strong acts were done in the logs, and with what the same principals act there.
    habits: HashMap<Caller, Habit, Numbered>,
    /// When the owners' tools were first seen, and in which objects.
    owners: BTreeMap<Caller, FirstUse>,
    /// Principals at the network addresses of the members.
    principals: HashMap<u64, HashSet<u64, Numbered>, Numbered>,
    objects: Numbers,
}

/// When a tool was first seen, in nanoseconds, and in which objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct FirstUse {
    at: i64,
    objects: Vec<u64>,
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
    credentials: HashMap<u64, Use, Numbered>,
    addresses: HashMap<u64, Use, Numbered>,
    pairs: HashMap<(u64, u64), Use, Numbered>,
}

/// Who used a credential, an address, or the one from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Nobodys,
    OnlyOwners,
    Others,
}

impl Use {
    fn see(&mut self, by_owner: bool) {
        if !by_owner {
            *self = Self::Others;
        } else if *self == Self::Nobodys {
            *self = Self::OnlyOwners;
        }
    }
}

impl Presence {
    fn of(starts: &[Start]) -> Self {
        let mut presence = Self::default();
        for Start { who, .. } in starts {
            presence.exact.insert(*who, false);
            if who.credential != 0 {
                presence.credentials.insert(who.credential, Use::Nobodys);
            }
            if who.address != 0 {
                presence.addresses.insert(who.address, Use::Nobodys);
            }
            if who.credential != 0 && who.address != 0 {
                presence.pairs.insert((who.credential, who.address), Use::Nobodys);
            }
        }
        presence
    }

    /// Takes note of a way of acting; the start that it is, whatever it was done with where that is not said.
    fn see(&mut self, who: Caller, by_owner: bool) -> Option<Caller> {
        if let Some(credential) = self.credentials.get_mut(&who.credential) {
            credential.see(by_owner);
            if let Some(both) = self.pairs.get_mut(&(who.credential, who.address)) {
                both.see(by_owner);
            }
        }
        if let Some(address) = self.addresses.get_mut(&who.address) {
            address.see(by_owner);
        }
        let start = [who, who.with_any_agent()]
            .into_iter()
            .find(|start| self.exact.contains_key(start))?;
        self.exact.insert(start, true);
        Some(start)
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
        let mut habits = HashMap::<Caller, Habit, Numbered>::default();
        for Start { who, .. } in starts.iter().filter(|start| !start.who.agent.is_unknown()) {
            let place = who.tool().with_any_agent();
            habits.entry(place).or_default().accuse(who.agent);
        }
        let mut search = Self {
            again: None,
            accused: None,
            phase: Phase::Done,
            starts,
            reach: Reach::new(0, HashSet::default()),
            suspects: Vec::new(),
            chosen: Vec::new(),
            floors: HashMap::default(),
            habits,
            owners: BTreeMap::new(),
            principals: HashMap::default(),
            objects: Numbers::default(),
        };
        if !search.starts.is_empty() {
            search.phase = search.begin();
        }
        search
    }

    /// Begins at the starts, without the tools that are the owners'.
    fn begin(&mut self) -> Phase {
        let owners = self.owners.keys().copied().collect();
        self.reach = Reach::new(self.starts.len(), owners);
        for (group, start) in self.starts.iter().enumerate() {
            self.reach.members.insert(start.who, group);
        }
        Phase::Begin(Presence::of(&self.starts))
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
                for Acting { who, period } in &sketch.acting {
                    if let Some(habit) = self.habits.get_mut(&who.tool().with_any_agent()) {
                        habit.see(who.agent, *period);
                    }
                    if let Some(start) = presence.see(*who, self.reach.is_owners(*who))
                        && let Some(group) = self.reach.members.get(&start).copied()
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
                for Acting { who, period } in &sketch.acting {
                    let first = &period.first;
                    if let Some(known) = self.floors.get_mut(&who.credential) {
                        *known = (*known).min(*first);
                    }
                    if let Some(principals) = self.principals.get_mut(&who.address)
                        && principals.len() <= PRINCIPALS_PER_ADDRESS
                    {
                        principals.insert(who.principal);
                    }
                    if let Some(known) = self.owners.get_mut(&who.tool())
                        && known.at == *first
                    {
                        known.objects.push(number);
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
                for (place, habit) in std::mem::take(&mut self.habits) {
                    for (agent, at) in habit.at_home() {
                        let objects = Vec::new();
                        self.owners
                            .insert(Caller { agent, ..place }, FirstUse { at, objects });
                    }
                }
                if self.reach.knows_owners(self.owners.len()) {
                    self.seed(&presence);
                    Phase::Reach
                } else {
                    self.begin()
                }
            }
            Phase::Reach if grown => Phase::Reach,
            Phase::Reach => {
                let addresses = self.choose();
                if let Some(all) = self.again.take() {
                    let accused = std::mem::take(&mut self.chosen).into_iter().flatten().collect();
                    // Whose tool is whose is as the logs alone say: what comes beside them accuses, and acquits nobody.
                    let owners = std::mem::take(&mut self.owners);
                    *self = Self::new(all);
                    self.habits = HashMap::default();
                    self.owners = owners;
                    self.accused = Some(accused);
                    self.phase = self.begin();
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
            let used = |known: Option<&Use>| known.copied().filter(|known| *known != Use::Nobodys);
            let both = used(presence.pairs.get(&(credential, address)));
            let alone = used(presence.credentials.get(&credential));
            let there = used(presence.addresses.get(&address)).filter(|_| credential == 0);
            // What only the owner's tool did ties nothing to the start, not even the maker of the credential.
            if both.is_some() {
                if both == Some(Use::Others) {
                    self.reach.want_both(credential, address, group);
                }
            } else if alone.is_some() {
                // The pair was never seen together: rather too much than nothing.
                if alone == Some(Use::Others) {
                    self.reach.want_credential(credential, group);
                }
            } else if there == Some(Use::Others) {
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
        let owners = self.reach.take_owners();
        let mut before = std::mem::replace(&mut self.reach, Reach::new(chosen.len(), owners));
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
        // The life of a credential is its owner's as well. The owner's first act is to be read, as the reason why it
        // does not count.
        let mut places = HashMap::<Caller, BTreeSet<usize>, Numbered>::default();
        if !self.owners.is_empty() {
            for (who, actor) in &members {
                let place = who.tool().with_any_agent();
                places.entry(place).or_default().insert(*actor);
            }
        }
        let mut owners = BTreeMap::new();
        for (tool, first) in self.owners {
            let Some(actors) = places.get(&tool.with_any_agent()) else {
                continue;
            };
            for actor in actors {
                if let Some(floor) = floors.get_mut(*actor) {
                    *floor = Some(floor.map_or(first.at, |known| known.min(first.at)));
                }
            }
            for number in first.objects {
                self.objects.insert(number);
            }
            owners.insert(tool, first.at);
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
            owners,
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
