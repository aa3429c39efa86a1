//! From marked records to the actor behind them.
//!
//! A node is a [`Who`]: principal, credential and place. Acts of one actor are tied together by
//! * the same credential or principal from the same address,
//! * credentials that the actor made (`AssumeRole`, `CreateAccessKey`, federation), wherever they are used,
//! * and back from a credential to its maker, if both were used from the same address: a role or key that
//!   was made in good faith and stolen later does not incriminate its maker.
//!
//! What a principal does with a tool that was at home at the place of a strong act long before ([`super::agent`]) is its
//! owner's, and ties nothing to anything.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::agent::{Habit, Period};
use super::boundary::ACT;
use super::facts::{Hit, ObjectFacts, Seen, Who};
use super::findings;
use super::indicator::{self, Aim, Class, Mark};
use super::{Evidence, Reason};

/// Principals that may share an address and still count as one actor's; more is an office or a proxy.
const PRINCIPALS_PER_ADDRESS: usize = 5;

/// Begins the indicator name of what a person said: it counts as a finding does.
pub const PERSON: &str = "person";

/// The indicator name of the first act of the owner of a stolen credential, from where it was used by an intruder too.
pub const OWNER: &str = "owner";

/// What an act of that name shows.
const NOT_COUNTED: &str =
    "not counted, because this tool was in use there a week or more before the intruder's";

/// Seconds within which a burst must reach its threshold.
const BURST_SECONDS: i64 = 3600;

/// An act with its place in the logs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Act {
    /// The record.
    pub seen: Seen,
    /// Object that holds it.
    pub evidence: Evidence,
    /// `service:Action`, or a finding's title.
    pub what: String,
    /// Who acted.
    pub who: Who,
    /// Indicator id, or `actor`.
    pub indicator: String,
    /// What it means, where that is not what its id says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

impl Act {
    pub(super) fn of(seen: &Seen, object: &ObjectFacts, what: &str, who: &Who, indicator: &str) -> Self {
        Self {
            seen: seen.clone(),
            evidence: Evidence {
                object: object.object.clone(),
                sha256: object.sha256.clone(),
                record: seen.record,
                event_id: seen.event_id.clone(),
            },
            what: what.to_owned(),
            who: who.clone(),
            indicator: indicator.to_owned(),
            mark: None,
        }
    }

    /// The act as a reason of the boundary.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let title = match self.indicator.as_str() {
            OWNER => NOT_COUNTED,
            id => indicator::by_id(id).map_or("", |indicator| indicator.title),
        };
        let by = [&self.who.principal, &self.who.credential]
            .into_iter()
            .find(|t| !t.is_empty())
            .map_or("unknown", String::as_str);
        let mut what = self.what.clone();
        if self.who != Who::default() {
            what = format!("{what} by {by} from {}", self.who.address);
        }
        if !title.is_empty() {
            what = format!("{title}: {what}");
        }
        Reason {
            at: self.seen.at,
            what: super::facts::printable_up_to(&what, 400),
            indicator: self.indicator.clone(),
            evidence: self.evidence.clone(),
        }
    }
}

/// Everything tied to one or several strong indicators.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Ways of acting.
    pub members: BTreeSet<Who>,
    /// The first act of each member.
    pub acts: Vec<Act>,
    /// The records that made it an actor, earliest first.
    pub strong: Vec<Act>,
}

impl Actor {
    /// Whether the evidence goes beyond one kind of act, which an administrator may have had a reason for:
    /// a finding, or strong indicators of two aims, or of three kinds.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let kinds: BTreeSet<_> = self.strong.iter().map(|a| a.indicator.as_str()).collect();
        let aims: BTreeSet<Aim> = self
            .strong
            .iter()
            .filter_map(|act| Mark::of(&act.indicator, act.mark))
            .map(|mark| mark.aim)
            .collect();
        let said = |id: &&str| findings::stands_alone(id) == Some(true) || **id == *PERSON;
        kinds.iter().any(said) || aims.len() >= 2 || kinds.len() >= 3
    }

    /// Network addresses that it acted from.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let strong = self.strong.iter().map(|act| &act.who);
        self.members
            .iter()
            .chain(strong)
            .filter(|who| who.is_remote())
            .map(|who| who.address.as_str())
    }

    /// The objects that hold its strong indicators.
    pub fn objects_of_strong(&self) -> impl Iterator<Item = &str> {
        self.strong.iter().map(|act| act.evidence.object.as_str())
    }

    /// The earliest act, strong or not.
    #[must_use]
    pub fn earliest(&self) -> Option<&Act> {
        self.acts.iter().chain(&self.strong).min()
    }
}

struct Node {
    first: Act,
    period: Period,
    objects: BTreeSet<String>,
}

/// All ways of acting in the logs, and what ties them together.
pub struct Graph {
    nodes: BTreeMap<Who, Node>,
    by_credential: BTreeMap<String, BTreeSet<Who>>,
    by_principal: BTreeMap<String, BTreeSet<Who>>,
    by_address: BTreeMap<String, BTreeSet<Who>>,
    made_by: BTreeMap<Who, BTreeSet<String>>,
    makers: BTreeMap<String, BTreeSet<Who>>,
    strong: Vec<Act>,
    /// The owners' tools, each with its first act.
    owners: BTreeMap<Who, Act>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("nodes", &self.nodes.len())
            .field("strong", &self.strong.len())
            .finish_non_exhaustive()
    }
}

impl Graph {
    /// Builds the graph. The order of the objects, and objects that repeat others, change nothing.
    #[must_use]
    pub fn of<'f>(objects: impl IntoIterator<Item = &'f ObjectFacts>) -> Self {
        let objects: Vec<_> = objects.into_iter().collect();
        let mut graph = Self::unconnected(&objects);
        graph.owners = graph.owners();
        graph.connect(&objects);
        graph
    }

    /// The same with what was said beside the logs. That accuses and acquits nobody: whose tool is whose stays as it was.
    #[must_use]
    pub fn beside<'f>(self, objects: impl IntoIterator<Item = &'f ObjectFacts>) -> Self {
        let objects: Vec<_> = objects.into_iter().collect();
        let mut graph = Self {
            owners: self.owners,
            ..Self::unconnected(&objects)
        };
        graph.connect(&objects);
        graph
    }

    fn unconnected(objects: &[&ObjectFacts]) -> Self {
        let mut graph = Self {
            nodes: BTreeMap::new(),
            by_credential: BTreeMap::new(),
            by_principal: BTreeMap::new(),
            by_address: BTreeMap::new(),
            made_by: BTreeMap::new(),
            makers: BTreeMap::new(),
            strong: Vec::new(),
            owners: BTreeMap::new(),
        };
        // By event, so that a record that two trails delivered counts once.
        let mut hits = BTreeMap::<(String, EventKey), Act>::new();
        for object in objects {
            for r#use in &object.uses {
                let act = Act::of(&r#use.first, object, &r#use.what, &r#use.who, ACT);
                graph.add(&r#use.who, act, r#use.period(), &object.object);
            }
            for hit in &object.hits {
                let act = Act {
                    mark: hit.mark,
                    ..Act::of(&hit.seen, object, &hit.what, &hit.who, &hit.indicator)
                };
                let key = (hit.indicator.clone(), EventKey::of(hit));
                match hits.get(&key) {
                    Some(known) if *known <= act => {}
                    _ => {
                        hits.insert(key, act);
                    }
                }
            }
        }
        graph.strong = strong(hits.into_values().collect());
        graph
    }

    /// The tools that are the owners', by what the logs say.
    fn owners(&self) -> BTreeMap<Who, Act> {
        let mut habits = BTreeMap::<Who, Habit>::new();
        for act in self.strong.iter().filter(|act| !act.who.agent.is_unknown()) {
            let place = act.who.tool().with_any_agent();
            habits.entry(place).or_default().accuse(act.who.agent);
        }
        for (who, node) in &self.nodes {
            if let Some(habit) = habits.get_mut(&who.tool().with_any_agent()) {
                habit.see(who.agent, node.period);
            }
        }
        let at_home: BTreeSet<Who> = habits
            .iter()
            .flat_map(|(place, habit)| {
                let agents = habit.at_home().into_keys();
                agents.map(|agent| Who {
                    agent,
                    ..place.clone()
                })
            })
            .collect();
        let mut owners = BTreeMap::<Who, Act>::new();
        for (who, node) in &self.nodes {
            let tool = who.tool();
            if at_home.contains(&tool) {
                let first = Act {
                    indicator: OWNER.to_owned(),
                    ..node.first.clone()
                };
                let known = owners.entry(tool).or_insert_with(|| first.clone());
                *known = first.min(known.clone());
            }
        }
        owners
    }

    /// Ties makers and what they made.
    fn connect(&mut self, objects: &[&ObjectFacts]) {
        let graph = self;
        let mut copies = BTreeMap::<String, BTreeSet<Who>>::new();
        let issued = objects.iter().flat_map(|object| &object.issued);
        for issued in issued.filter(|issued| !graph.owners.contains_key(&issued.by.tool())) {
            graph
                .made_by
                .entry(issued.by.clone())
                .or_default()
                .insert(issued.credential.clone());
            graph
                .makers
                .entry(issued.credential.clone())
                .or_default()
                .insert(issued.by.clone());
            if !issued.shared.is_empty() {
                copies
                    .entry(issued.shared.clone())
                    .or_default()
                    .insert(issued.by.clone());
            }
        }
        // What one copy of a cross-account event made, the other made too.
        for callers in copies.values().filter(|callers| callers.len() > 1) {
            let all: BTreeSet<String> = callers
                .iter()
                .filter_map(|who| graph.made_by.get(who))
                .flatten()
                .cloned()
                .collect();
            for who in callers {
                graph
                    .made_by
                    .entry(who.clone())
                    .or_default()
                    .extend(all.iter().cloned());
                for credential in &all {
                    graph
                        .makers
                        .entry(credential.clone())
                        .or_default()
                        .insert(who.clone());
                }
            }
        }
    }

    fn add(&mut self, who: &Who, act: Act, period: Period, object: &str) {
        let node = self.nodes.entry(who.clone()).or_insert_with(|| Node {
            first: act.clone(),
            period,
            objects: BTreeSet::new(),
        });
        node.period.add(period);
        node.objects.insert(object.to_owned());
        if act < node.first {
            node.first = act;
        }
        for (index, key) in [
            (&mut self.by_credential, &who.credential),
            (&mut self.by_principal, &who.principal),
            (&mut self.by_address, &who.address),
        ] {
            if !key.is_empty() {
                index.entry(key.clone()).or_default().insert(who.clone());
            }
        }
    }

    /// Every actor behind a strong indicator, in a stable order.
    #[must_use]
    pub fn actors(&self) -> Vec<Actor> {
        let mut actors: Vec<(BTreeSet<Who>, Vec<Act>)> = Vec::new();
        let mut starts = BTreeMap::<Who, Vec<Act>>::new();
        for act in &self.strong {
            starts.entry(act.who.clone()).or_default().push(act.clone());
        }
        for (who, mut strong) in starts {
            let mut members = self.reached(self.matching(&who));
            members.insert(who);
            let (mut overlapping, apart): (Vec<_>, Vec<_>) = actors
                .into_iter()
                .partition(|(known, _)| !known.is_disjoint(&members));
            for (known, known_strong) in overlapping.drain(..) {
                members.extend(known);
                strong.extend(known_strong);
            }
            actors = apart;
            actors.push((members, strong));
        }
        let mut actors: Vec<_> = actors
            .into_iter()
            .map(|(members, strong)| self.actor(members, strong))
            .collect();
        actors.sort_by(|a, b| a.strong.cmp(&b.strong));
        actors
    }

    fn actor(&self, members: BTreeSet<Who>, mut strong: Vec<Act>) -> Actor {
        strong.sort();
        let mut acts: Vec<_> = members
            .iter()
            .filter_map(|who| self.nodes.get(who))
            .map(|node| node.first.clone())
            .collect();
        acts.sort();
        Actor {
            members,
            acts,
            strong,
        }
    }

    /// The actor with everything that others did from the addresses of its strong acts, unless so many
    /// principals share an address that it says nothing.
    #[must_use]
    pub fn with_neighbours(&self, actor: Actor) -> Actor {
        let addresses: BTreeSet<_> = actor
            .strong
            .iter()
            .map(|a| &a.who)
            .filter(|who| who.is_remote())
            .map(|who| who.address.as_str())
            .collect();
        let mut neighbours = BTreeSet::new();
        for address in addresses {
            let present = self.by_address.get(address);
            let principals: BTreeSet<_> = present
                .into_iter()
                .flatten()
                .map(|who| who.principal.as_str())
                .collect();
            if principals.len() <= PRINCIPALS_PER_ADDRESS {
                neighbours.extend(present.into_iter().flatten().cloned());
            }
        }
        let Actor { members, strong, .. } = actor;
        let mut all = self.reached(neighbours);
        all.extend(members);
        self.actor(all, strong)
    }

    /// Whether so few principals act from this address that its traffic may be laid at one actor's door.
    #[must_use]
    pub fn is_personal(&self, address: &str) -> bool {
        let principals: BTreeSet<_> = self
            .by_address
            .get(address)
            .into_iter()
            .flatten()
            .map(|who| who.principal.as_str())
            .collect();
        principals.len() <= PRINCIPALS_PER_ADDRESS
    }

    /// The first act of each tool with which the owners of stolen credentials act where this actor acted as well.
    pub fn owners_beside<'a>(&'a self, actor: &Actor) -> impl Iterator<Item = &'a Act> {
        let places: BTreeSet<_> = actor
            .members
            .iter()
            .map(|who| who.tool().with_any_agent())
            .collect();
        let owners = self.owners.iter();
        owners
            .filter(move |(tool, _)| places.contains(&tool.with_any_agent()))
            .map(|(_, first)| first)
    }

    /// The earliest use of any of the actor's credentials, wherever it was used.
    #[must_use]
    pub fn first_of_credentials(&self, actor: &Actor) -> Option<&Act> {
        actor
            .members
            .iter()
            .filter_map(|who| self.by_credential.get(&who.credential))
            .flatten()
            .filter_map(|who| self.nodes.get(who))
            .map(|node| &node.first)
            .min()
    }

    /// The objects that hold acts of this actor.
    #[must_use]
    pub fn objects_of<'a>(&'a self, actor: &'a Actor) -> BTreeSet<&'a str> {
        actor
            .members
            .iter()
            .filter_map(|who| self.nodes.get(who))
            .flat_map(|node| node.objects.iter().map(String::as_str))
            .chain(actor.objects_of_strong())
            .collect()
    }

    /// The nodes that a record or a finding is about. A finding may know only a key or only an address.
    fn matching(&self, who: &Who) -> BTreeSet<Who> {
        if self.nodes.contains_key(who) {
            return BTreeSet::from([who.clone()]);
        }
        if who.agent.is_unknown() {
            let with_any = |other: &&Who| {
                (&other.principal, &other.credential, &other.address)
                    == (&who.principal, &who.credential, &who.address)
            };
            let same: BTreeSet<_> = self.nodes.keys().filter(with_any).cloned().collect();
            if !same.is_empty() {
                return same;
            }
        }
        let of_credential = self.by_credential.get(&who.credential);
        let of_address = self.by_address.get(&who.address);
        let found: BTreeSet<Who> = match (of_credential, of_address) {
            (Some(of_credential), Some(of_address)) => {
                of_credential.intersection(of_address).cloned().collect()
            }
            (Some(of_credential), None) if who.address.is_empty() => of_credential.clone(),
            (None, Some(of_address)) if who.credential.is_empty() => of_address.clone(),
            _ => BTreeSet::new(),
        };
        if found.is_empty() {
            // The pair was never seen together: rather too much than nothing.
            return of_credential.cloned().unwrap_or_default();
        }
        found
    }

    fn reached(&self, from: BTreeSet<Who>) -> BTreeSet<Who> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<Who> = from.into_iter().collect();
        while let Some(who) = open.pop() {
            if self.owners.contains_key(&who.tool()) || !reached.insert(who.clone()) {
                continue;
            }
            if who.is_remote() {
                let same_place = |known: Option<&BTreeSet<Who>>| -> Vec<Who> {
                    known
                        .into_iter()
                        .flatten()
                        .filter(|other| other.address == who.address)
                        .cloned()
                        .collect()
                };
                open.extend(same_place(self.by_credential.get(&who.credential)));
                open.extend(same_place(self.by_principal.get(&who.principal)));
                let makers = self.makers.get(&who.credential).into_iter().flatten();
                open.extend(makers.filter(|maker| maker.address == who.address).cloned());
            }
            for credential in self.made_by.get(&who).into_iter().flatten() {
                open.extend(self.by_credential.get(credential).into_iter().flatten().cloned());
            }
        }
        reached
    }
}

/// Identity of a hit across deliveries: its event, or its place when the record carries no id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventKey {
    Event(String),
    Place(Seen, Who),
}

impl EventKey {
    pub(super) fn of(hit: &Hit) -> Self {
        if hit.seen.event_id.is_empty() {
            Self::Place(hit.seen.clone(), hit.who.clone())
        } else {
            Self::Event(hit.seen.event_id.clone())
        }
    }
}

/// The hits that stand alone: strong ones, and bursts that reached their threshold.
pub(super) fn strong(hits: Vec<Act>) -> Vec<Act> {
    let mut strong = Vec::new();
    let mut bursts = BTreeMap::<(String, Who, usize), Vec<Act>>::new();
    for act in hits {
        if let Some(alone) = findings::stands_alone(&act.indicator) {
            if alone {
                strong.push(act);
            }
            continue;
        }
        match Mark::of(&act.indicator, act.mark).map(|mark| mark.class) {
            Some(Class::Strong) => strong.push(act),
            Some(Class::Burst(threshold)) => bursts
                .entry((act.indicator.clone(), act.who.with_any_agent(), threshold))
                .or_default()
                .push(act),
            Some(Class::Weak) | None => {}
        }
    }
    for ((_, _, threshold), mut acts) in bursts {
        acts.sort();
        let seconds: Vec<i64> = acts.iter().map(|a| a.seen.at.as_second()).collect();
        let reached = seconds
            .windows(threshold.max(1))
            .position(|w| matches!((w.first(), w.last()), (Some(a), Some(b)) if b - a <= BURST_SECONDS));
        if let Some(start) = reached {
            strong.extend(acts.into_iter().skip(start));
        }
    }
    strong.sort();
    strong
}
