//! From the facts of all objects to the event boundary.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::actor::{Act, Actor, Graph};
use super::context::Context;
use super::coverage;
use super::facts::{ObjectFacts, Who, printable};
use super::{ActorSummary, Boundary, BoundaryDocument, Coverage, Gap, Reason, SCHEMA, Unseen};

/// The indicator name of an act that the pivot found, which no indicator marks.
pub const ACT: &str = "actor";

/// Reasons that a boundary document lists; the timeline has every record.
pub(super) const REASONS_KEPT: usize = 40;

/// Tools of the owners among them, which come before the actors' acts and must not crowd them out.
const OWNERS_KEPT: usize = 8;

/// The answer of stage 1, and the actors for the timeline's rows.
#[derive(Debug)]
pub struct Established {
    /// The boundary document.
    pub document: BoundaryDocument,
    /// The actors that set the boundary.
    pub actors: Vec<Actor>,
    /// Objects that hold acts of these actors, or strong indicators.
    pub objects: BTreeSet<String>,
}

/// Finds the boundary in the facts of all objects, with every use in memory: the definition, against which the passes
/// of [`super::case`] are tested, and the way for a few objects.
///
/// Neither the order of the objects nor objects and records that repeat others change the answer. `gaps` is
/// what could not even be listed or fetched.
///
/// `late` is what was said beside the logs: the findings that started the run or came while it was under way, and
/// people (see [`super::late`]). Its actors are looked for in the logs like any other, and it only ever adds: the
/// actors that the logs alone accuse are accused with it too, so it never moves the boundary later.
#[must_use]
pub fn establish(facts: &[ObjectFacts], gaps: &[Gap], late: &[ObjectFacts]) -> Established {
    establish_beside(facts, gaps, &[], late)
}

/// As [`establish`], with periods that are known to be unseen, from digest files for example.
///
/// The floor reaches back before every one of them that begins before the boundary: an actor may have acted in it.
#[must_use]
pub fn establish_beside(
    facts: &[ObjectFacts],
    gaps: &[Gap],
    unseen: &[Unseen],
    late: &[ObjectFacts],
) -> Established {
    // Equal bytes are one object, however often they were delivered.
    let mut by_digest = BTreeMap::<&str, &ObjectFacts>::new();
    for object in facts {
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

    let mut coverage = coverage::of(&objects, late, gaps, unseen);
    let mut graph = Graph::of(objects.iter().copied());
    let (chosen, others) = choose(graph.actors());
    let (chosen, others) = if late.is_empty() {
        (chosen, others)
    } else {
        graph = graph.beside(objects.iter().copied().chain(late));
        with_late(graph.actors(), &chosen)
    };
    let chosen: Vec<_> = chosen
        .into_iter()
        .map(|actor| graph.with_neighbours(actor))
        .collect();
    let suspects = others
        .iter()
        .filter_map(|actor| actor.strong.first())
        .map(Act::reason)
        .take(REASONS_KEPT)
        .collect();
    let first_call = first_call(&objects);
    // An address that many share, an office or a proxy, says nothing about one actor.
    let addresses = chosen
        .iter()
        .flat_map(Actor::addresses)
        .filter(|address| graph.is_personal(address))
        .map(str::to_owned)
        .collect();
    let mut context = Context::of(addresses);
    let of_addresses: Vec<_> = objects.iter().filter(|object| context.see(object)).collect();
    let floor = chosen
        .iter()
        .flat_map(|actor| {
            let owners = graph.owners_beside(actor);
            graph.first_of_credentials(actor).into_iter().chain(owners)
        })
        .map(|act| act.seen.at)
        .min();
    let owners: BTreeSet<_> = chosen
        .iter()
        .flat_map(|actor| graph.owners_beside(actor))
        .collect();
    coverage.gaps.extend(left_out(owners.iter().copied()));
    let boundary = boundary(floor, &chosen, owners, &coverage, first_call, &context);
    Established {
        objects: chosen
            .iter()
            .flat_map(|actor| graph.objects_of(actor))
            .chain(others.iter().flat_map(Actor::objects_of_strong))
            .chain(of_addresses.iter().map(|object| object.object.as_str()))
            .map(str::to_owned)
            .collect(),
        document: BoundaryDocument {
            schema: SCHEMA.to_owned(),
            boundary,
            // What a person said, and findings that name nobody, accuse nobody.
            actors: chosen
                .iter()
                .filter(|actor| actor.members.iter().any(|who| *who != Who::default()))
                .map(summary)
                .collect(),
            suspects,
            coverage,
        },
        actors: chosen,
    }
}

/// The confirmed actors, or all of them where none is confirmed: then the earliest plausible one counts.
fn choose(actors: Vec<Actor>) -> (Vec<Actor>, Vec<Actor>) {
    let (confirmed, others): (Vec<_>, Vec<_>) = actors.into_iter().partition(Actor::is_confirmed);
    if confirmed.is_empty() {
        (others, confirmed)
    } else {
        (confirmed, others)
    }
}

/// The confirmed actors, and those that set the boundary before late evidence came.
fn with_late(actors: Vec<Actor>, before: &[Actor]) -> (Vec<Actor>, Vec<Actor>) {
    let accusing: BTreeSet<&Act> = before.iter().flat_map(|actor| &actor.strong).collect();
    actors
        .into_iter()
        .partition(|actor| actor.is_confirmed() || actor.strong.iter().any(|act| accusing.contains(act)))
}

/// When the records of API calls begin.
pub(super) fn first_call(objects: &[&ObjectFacts]) -> Option<Timestamp> {
    objects
        .iter()
        .filter(|object| object.sources.form.is_api_activity())
        .filter_map(|object| object.first)
        .min()
}

/// That calls were left out as the owners' own is a gap: whoever uses an owner's tool where the owner uses it is not told
/// from the owner.
pub(super) fn left_out<'a>(owners: impl Iterator<Item = &'a Act>) -> Option<Gap> {
    let mut times: Vec<_> = owners.map(|act| act.seen.at).collect();
    times.sort_unstable();
    let first = times.first()?;
    Some(Gap {
        what: "calls of the owners".to_owned(),
        reason: format!(
            "what was done with {} of the owners' tools, from {first} on, is not counted: whether an intruder used \
             them as well is not known",
            times.len()
        ),
    })
}

/// `floor` is the earliest use of any credential of the actors; `owners`, what of it was left out as the owners' own.
pub(super) fn boundary<'a>(
    floor: Option<Timestamp>,
    actors: &'a [Actor],
    owners: impl IntoIterator<Item = &'a Act>,
    coverage: &Coverage,
    first_call: Option<Timestamp>,
    context: &Context,
) -> Option<Boundary> {
    let earliest_acts = actors.iter().filter_map(Actor::earliest);
    let earliest_strong = actors.iter().filter_map(|actor| actor.strong.first());
    let best = earliest_acts.clone().map(|a| a.seen.at).min()?;
    let not_later_than = earliest_strong.map(|a| a.seen.at).min()?;
    let floor = [best]
        .into_iter()
        .chain(floor)
        .chain(context.first())
        .chain(coverage.unseen.iter().map(|unseen| unseen.from))
        .min()?;

    let mut reasons: Vec<Reason> = earliest_acts.map(Act::reason).collect();
    reasons.extend(context.reasons());
    let mut owners: Vec<_> = owners.into_iter().collect();
    owners.sort();
    reasons.extend(owners.into_iter().take(OWNERS_KEPT).map(Act::reason));
    for actor in actors {
        let mut kinds = BTreeSet::new();
        let first_of_kind = actor.strong.iter().filter(|act| kinds.insert(&act.indicator));
        reasons.extend(first_of_kind.map(Act::reason));
    }
    reasons.sort_by(|a, b| (a.at, &a.evidence, &a.indicator).cmp(&(b.at, &b.evidence, &b.indicator)));
    reasons.dedup();
    reasons.truncate(REASONS_KEPT);
    Some(Boundary {
        best,
        not_later_than,
        floor,
        // The actor was there when the records of calls begin: it may have been there before.
        unbounded: first_call.is_none_or(|first| best <= first),
        reasons,
    })
}

pub(super) fn summary(actor: &Actor) -> ActorSummary {
    let set = |field: fn(&Who) -> &str| {
        actor
            .members
            .iter()
            .map(field)
            .filter(|text| !text.is_empty())
            .map(printable)
            .collect()
    };
    ActorSummary {
        principals: set(|who| &who.principal),
        credentials: set(|who| &who.credential),
        addresses: set(|who| &who.address),
        indicators: actor.strong.iter().map(|act| act.indicator.clone()).collect(),
        confirmed: actor.is_confirmed(),
    }
}

/// The boundary after new evidence: it never moves later.
#[must_use]
pub fn revise(current: Option<Timestamp>, new: Timestamp) -> Timestamp {
    current.map_or(new, |current| current.min(new))
}
