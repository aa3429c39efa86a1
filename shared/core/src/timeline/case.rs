//! From what the first pass left to the boundary, reading again only what the actors touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::actor::{Act, Actor, EventKey, strong};
use super::boundary::{ACT, Established, REASONS_KEPT, boundary, first_call, summary};
use super::context::Context;
use super::facts::{Hit, ObjectFacts, Seen, Who, kept_per_hour};
use super::indicator::{Class, Mark};
use super::pivot::{Pivot, Traced};
use super::sketch::Caller;
use super::{BoundaryDocument, Gap, SCHEMA, Unseen, coverage};

/// What the first pass found in all objects: hits, coverage, and what could not be read.
#[derive(Debug, Default)]
pub struct Case {
    objects: Vec<ObjectFacts>,
    hits: Hits,
}

impl Case {
    /// Takes what the first pass says of one object.
    pub fn add(&mut self, mut facts: ObjectFacts) {
        self.hits.add(&facts);
        facts.hits = Vec::new();
        facts.uses = Vec::new();
        facts.issued = Vec::new();
        self.objects.push(facts);
    }

    /// What is kept of the objects: everything but uses, hits and credentials.
    #[must_use]
    pub fn objects(&self) -> &[ObjectFacts] {
        &self.objects
    }

    /// The search for the actors, which begins at the strong hits, and at what was said beside the logs.
    #[must_use]
    pub fn pivot(&mut self, late: &[ObjectFacts]) -> Pivot {
        let mut said = Hits::default();
        for facts in late {
            said.add(facts);
        }
        Pivot::beside(std::mem::take(&mut self.hits).strong(), said.strong())
    }

    /// The answer, as [`super::boundary::establish_beside`] gives it from facts that list every use.
    #[must_use]
    pub fn establish(
        &self,
        acts: Acts,
        gaps: &[Gap],
        unseen: &[Unseen],
        late: &[ObjectFacts],
    ) -> Established {
        // Equal bytes are one object, however often they were delivered.
        let mut by_digest = BTreeMap::<&str, &ObjectFacts>::new();
        for object in &self.objects {
            by_digest
                .entry(object.sha256.as_str())
                .and_modify(|known| {
                    if object.object < known.object {
                        *known = object;
                    }
                })
                .or_insert(object);
        }
        let mut objects: Vec<_> = by_digest.into_values().collect();
        objects.sort_by(|a, b| a.object.cmp(&b.object));
        let coverage = coverage::of(&objects, late, gaps, unseen);
        let Acts {
            traced,
            first,
            objects: mut read,
        } = acts;
        let actors = actors(&traced, first);
        let floor = traced.floors.iter().flatten().min().copied();
        let floor = floor.and_then(|at| Timestamp::from_nanosecond(i128::from(at)).ok());
        let addresses = actors
            .iter()
            .flat_map(Actor::addresses)
            .filter(|address| traced.owns(address))
            .collect();
        let context = Context::of(&addresses, objects.iter().copied());
        read.extend(context.objects.iter().map(|&object| object.to_owned()));
        let boundary = boundary(floor, &actors, &coverage, first_call(&objects), &context);
        Established {
            document: BoundaryDocument {
                schema: SCHEMA.to_owned(),
                boundary,
                // What a person said, and findings that name nobody, accuse nobody.
                actors: actors
                    .iter()
                    .filter(|actor| actor.members.iter().any(|who| *who != Who::default()))
                    .map(summary)
                    .collect(),
                suspects: traced
                    .suspects
                    .iter()
                    .map(Act::reason)
                    .take(REASONS_KEPT)
                    .collect(),
                coverage,
            },
            actors,
            objects: read,
        }
    }
}

/// The second pass: the acts of the actors, as text.
#[derive(Debug)]
pub struct Acts {
    traced: Arc<Traced>,
    first: BTreeMap<Who, Act>,
    objects: BTreeSet<String>,
}

impl Acts {
    /// Nothing yet of these actors.
    #[must_use]
    pub fn of(traced: Traced) -> Self {
        Self {
            traced: Arc::new(traced),
            first: BTreeMap::new(),
            objects: BTreeSet::new(),
        }
    }

    /// Who is looked for, and in which objects.
    #[must_use]
    pub fn traced(&self) -> Arc<Traced> {
        Arc::clone(&self.traced)
    }

    /// Takes what an object says about the actors, from facts that list every use. What it says about others is
    /// passed over.
    pub fn add(&mut self, object: &ObjectFacts) {
        self.objects.insert(object.object.clone());
        for r#use in &object.uses {
            if !self.traced.has(Caller::of(&r#use.who)) {
                continue;
            }
            let act = Act::of(&r#use.first, object, &r#use.what, &r#use.who, ACT);
            match self.first.get_mut(&r#use.who) {
                Some(known) if *known <= act => {}
                Some(known) => *known = act,
                None => {
                    self.first.insert(r#use.who.clone(), act);
                }
            }
        }
    }
}

/// The actors with the first act of every way in which they acted.
fn actors(traced: &Traced, first: BTreeMap<Who, Act>) -> Vec<Actor> {
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
        let actor = traced.members.get(&Caller::of(&who)).copied();
        if let Some(actor) = actor.and_then(|index| actors.get_mut(index)) {
            actor.members.insert(who);
            actor.acts.push(act);
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
    bursts: BTreeMap<(String, Who, i64), BTreeSet<(Seen, EventKey)>>,
}

impl Hits {
    fn add(&mut self, object: &ObjectFacts) {
        for hit in &object.hits {
            let mark = Mark::of(&hit.indicator, hit.mark);
            let class = mark.map(|mark| mark.class);
            if class == Some(Class::Weak) {
                continue;
            }
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
                    if matches!(class, Some(Class::Burst(_))) {
                        self.limit(hit, mark, key);
                    }
                }
            }
        }
    }

    /// Of a burst the first acts of every hour are enough: more than its threshold.
    fn limit(&mut self, hit: &Hit, mark: Option<Mark>, (indicator, event): (String, EventKey)) {
        let hour = hit.seen.at.as_second().div_euclid(3600);
        let kept = self
            .bursts
            .entry((indicator.clone(), hit.who.clone(), hour))
            .or_default();
        kept.insert((hit.seen.clone(), event));
        if kept.len() > kept_per_hour(mark)
            && let Some((_, event)) = kept.pop_last()
        {
            self.by_event.remove(&(indicator, event));
        }
    }

    fn strong(self) -> Vec<Act> {
        strong(self.by_event.into_values().collect())
    }
}
