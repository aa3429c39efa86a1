//! From what the first pass left to the boundary, reading again only what the actors touched.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::actor::{Act, Actor, EventKey, OWNER, strong};
use super::again::{BatchAgain, Lost};
use super::boundary::{boundary, left_out, summary};
use super::context::Context;
use super::coverage::Seeing;
use super::facts::{Hit, ObjectFacts, Who, is_seed, kept_per_hour};
use super::forms::Form;
use super::indicator::Mark;
use super::kept::Kept;
use super::pivot::{Pivot, Traced};
use super::rows::Again;
use super::sketch::Caller;
use super::{BoundaryDocument, Gap, SCHEMA, Unseen};

/// What the first pass found in all objects: strong hits, coverage, and what could not be read. It grows with what
/// is hostile, not with the logs.
#[derive(Debug, Default)]
pub struct Case {
    hits: Hits,
    seeing: Seeing,
    first_call: Option<Timestamp>,
    is_audited: bool,
    audited: Vec<ObjectFacts>,
}

impl Case {
    /// A case whose log files are compared with digest files: it keeps some 400 bytes of every object.
    #[must_use]
    pub fn audited() -> Self {
        Self {
            is_audited: true,
            ..Self::default()
        }
    }

    /// Takes what the first pass says of one object. Objects of equal bytes are one: the others are given to
    /// [`Case::copy`]. The order of the objects changes nothing.
    pub fn add(&mut self, facts: ObjectFacts) {
        self.hits.add(&facts);
        self.seeing.see(&facts);
        if facts.sources.form.is_api_activity() {
            self.first_call = [self.first_call, facts.first].into_iter().flatten().min();
        }
        self.copy(facts);
    }

    /// Takes note that an object lies in another place too.
    pub fn copy(&mut self, mut facts: ObjectFacts) {
        if self.is_audited {
            facts.hits = Vec::new();
            facts.uses = Vec::new();
            facts.issued = Vec::new();
            facts.sources.sightings = Vec::new();
            self.audited.push(facts);
        }
    }

    /// Every object, where they are to be compared with digest files.
    #[must_use]
    pub fn objects(&self) -> &[ObjectFacts] {
        &self.audited
    }

    /// Records read.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.seeing.records()
    }

    /// The search for the actors, which begins at the strong hits, and at what was said beside the logs.
    #[must_use]
    pub fn pivot(&self, late: &[ObjectFacts]) -> Pivot {
        let mut said = Hits::default();
        for facts in late {
            said.add(facts);
        }
        Pivot::beside(self.hits.strong(), said.strong())
    }

    /// The answer, as [`super::boundary::establish_beside`] gives it from facts that list every use.
    #[must_use]
    pub fn establish(
        &self,
        acts: &Acts<'_>,
        context: &Context,
        gaps: &[Gap],
        unseen: &[Unseen],
        late: &[ObjectFacts],
    ) -> BoundaryDocument {
        let gaps = [gaps, &acts.lost.gaps].concat();
        let unseen = [unseen, &acts.lost.unseen].concat();
        let mut coverage = self.seeing.coverage(late, &gaps, &unseen);
        coverage.gaps.extend(left_out(acts.owners.values()));
        let traced = acts.traced;
        let actors = acts.actors();
        let floor = traced.floors.iter().flatten().min().copied();
        let floor = floor.and_then(|at| Timestamp::from_nanosecond(i128::from(at)).ok());
        let owners = acts.owners.values();
        let boundary = boundary(floor, &actors, owners, &coverage, self.first_call, context);
        BoundaryDocument {
            schema: SCHEMA.to_owned(),
            boundary,
            // What a person said, and findings that name nobody, accuse nobody.
            actors: actors
                .iter()
                .filter(|actor| actor.members.iter().any(|who| *who != Who::default()))
                .map(summary)
                .collect(),
            suspects: traced.suspects.iter().map(Act::reason).collect(),
            coverage,
        }
    }
}

/// The second pass: the acts of the actors, as text.
#[derive(Debug)]
pub struct Acts<'t> {
    traced: &'t Traced,
    first: BTreeMap<Who, Act>,
    /// The first act of each of the owners' tools.
    owners: BTreeMap<Caller, Act>,
    lost: Lost,
}

impl<'t> Acts<'t> {
    /// Nothing yet of these actors.
    #[must_use]
    pub fn of(traced: &'t Traced) -> Self {
        Self {
            traced,
            first: BTreeMap::new(),
            owners: BTreeMap::new(),
            lost: Lost::default(),
        }
    }

    /// Whether the second pass must read an object with this number for acts of the actors, or for its findings.
    #[must_use]
    pub fn wants(&self, number: u64, object: &ObjectFacts) -> bool {
        match object.sources.form {
            Form::CloudTrail | Form::LookupEvents => self.traced.wants(number, &object.object),
            Form::Findings => object.records > 0,
            Form::FlowLogs | Form::Workload | Form::Digest | Form::Unsupported => false,
        }
    }

    /// Whether an object with this number must be read for what flow logs and the workload's logs show, which is
    /// asked when the actors' addresses are known. Objects of equal bytes come once.
    pub fn may_show(&self, context: &mut Context, number: u64, object: &ObjectFacts) -> bool {
        let has_addresses = context.see(object);
        let has_form = matches!(object.sources.form, Form::FlowLogs | Form::Workload);
        has_form && (has_addresses || self.traced.wants(number, &object.object))
    }

    /// Takes what an object, read again, says about the actors. The rows are left to the caller.
    pub fn add(&mut self, again: &mut Again) {
        self.add_all(again.acts.drain(..));
    }

    /// Takes what a batch of objects, read again elsewhere, says about the actors. The rows are left to the caller.
    pub fn take(&mut self, batch: &BatchAgain) {
        self.add_all(batch.acts.iter().cloned());
        self.lost.extend(&batch.lost);
    }

    fn add_all(&mut self, acts: impl Iterator<Item = Act>) {
        for act in acts {
            let who = Caller::of(&act.who);
            if !self.traced.has(who) {
                if self.traced.is_owners(who) {
                    self.add_owners(who.tool(), act);
                }
                continue;
            }
            match self.first.get_mut(&act.who) {
                Some(known) if *known <= act => {}
                Some(known) => *known = act,
                None => {
                    self.first.insert(act.who.clone(), act);
                }
            }
        }
    }

    fn add_owners(&mut self, tool: Caller, act: Act) {
        let act = Act {
            indicator: OWNER.to_owned(),
            ..act
        };
        let known = self.owners.entry(tool).or_insert_with(|| act.clone());
        if act < *known {
            *known = act;
        }
    }

    /// Takes note that an object which holds acts of an actor is not any more what the first pass read. The floor
    /// reaches back before it.
    pub fn lost(&mut self, object: &ObjectFacts, why: String) {
        self.lost.note(object, why);
    }

    /// The actors with the first act of every way in which they acted.
    #[must_use]
    pub fn actors(&self) -> Vec<Actor> {
        actors(self.traced, &self.first)
    }

    /// The network addresses of the actors at whose door what happens there may be laid.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<String> {
        let actors = self.actors();
        let addresses = actors.iter().flat_map(Actor::addresses);
        addresses
            .filter(|address| self.traced.owns(address))
            .map(str::to_owned)
            .collect()
    }
}

/// The actors with the first act of every way in which they acted.
fn actors(traced: &Traced, first: &BTreeMap<Who, Act>) -> Vec<Actor> {
    let mut actors: Vec<_> = traced
        .strong
        .iter()
        .map(|strong| Actor {
            members: strong.iter().map(|act| act.who.clone()).collect(),
            acts: Vec::new(),
            strong: strong.clone(),
        })
        .collect();
    for (who, act) in first {
        let actor = traced.members.get(&Caller::of(who)).copied();
        if let Some(actor) = actor.and_then(|index| actors.get_mut(index)) {
            actor.members.insert(who.clone());
            actor.acts.push(act.clone());
        }
    }
    for actor in &mut actors {
        actor.acts.sort();
    }
    actors
}

/// The hits of all objects that may stand alone. A record that two trails delivered counts once, as the first of
/// its copies.
#[derive(Debug, Default)]
struct Hits {
    by_event: BTreeMap<(String, EventKey), Act>,
    by_hour: BTreeMap<(String, Who, i64), Kept<(Timestamp, EventKey)>>,
}

impl Hits {
    fn add(&mut self, object: &ObjectFacts) {
        for hit in object.hits.iter().filter(|hit| is_seed(hit)) {
            let act = Act {
                mark: hit.mark,
                ..Act::of(&hit.seen, object, &hit.what, &hit.who, &hit.indicator)
            };
            let key = (hit.indicator.clone(), EventKey::of(hit));
            match self.by_event.get_mut(&key) {
                Some(known) => {
                    if act < *known {
                        *known = act;
                    }
                }
                None => {
                    self.by_event.insert(key.clone(), act);
                    self.limit(hit, key);
                }
            }
        }
    }

    /// Of one caller's acts of one kind the first of every hour are enough, more than the threshold of a burst, and the
    /// first with each tool.
    fn limit(&mut self, hit: &Hit, (indicator, event): (String, EventKey)) {
        let hour = hit.seen.at.as_second().div_euclid(3600);
        let kept = self
            .by_hour
            .entry((indicator.clone(), hit.who.with_any_agent(), hour))
            .or_default();
        let most = kept_per_hour(Mark::of(&hit.indicator, hit.mark));
        for (_, event) in kept.add((hit.seen.at, event), hit.who.agent, most) {
            self.by_event.remove(&(indicator.clone(), event));
        }
    }

    fn strong(&self) -> Vec<Act> {
        strong(self.by_event.values().cloned().collect())
    }
}
