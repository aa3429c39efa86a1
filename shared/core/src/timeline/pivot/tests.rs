use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::artifact::Digest;
use crate::timeline::Evidence;
use crate::timeline::agent::{Agent, Period};
use crate::timeline::facts::{Seen, Who};
use crate::timeline::sketch::Issuing;

const CREDENTIALS: u64 = 5;

/// Numbers stand for themselves; odd addresses are of the network.
fn caller() -> impl Strategy<Value = Caller> {
    (0..4_u64, 0..CREDENTIALS, 0..6_u64, 0..3_u64).prop_map(|(principal, credential, address, agent)| {
        let is_known = principal != 0 && address % 2 == 1;
        Caller {
            principal,
            credential,
            address,
            agent: Agent::of_word(if is_known { agent + 2 } else { 0 }).unwrap(),
        }
    })
}

fn issuing() -> impl Strategy<Value = Issuing> {
    (caller(), 1..CREDENTIALS, 0..3_u64).prop_map(|(by, credential, shared)| Issuing {
        by,
        credential,
        shared,
    })
}

fn known(who: Caller) -> bool {
    who.principal != 0 || who.credential != 0
}

/// The definition, over everything at once and one way of acting after the other.
fn reached(nodes: &BTreeSet<Caller>, made: &[Issuing], from: BTreeSet<Caller>) -> BTreeSet<Caller> {
    let mut reached = from;
    loop {
        let before = reached.len();
        for who in reached.clone() {
            let here = |other: &Caller| who.is_remote() && other.address == who.address;
            let same = |other: &Caller| {
                (who.credential != 0 && other.credential == who.credential)
                    || (who.principal != 0 && other.principal == who.principal)
            };
            reached.extend(nodes.iter().filter(|other| here(other) && same(other)));
            let makers = made
                .iter()
                .filter(|i| who.credential != 0 && i.credential == who.credential);
            reached.extend(makers.map(|i| i.by).filter(here));
            // What the copies of one event share makes their callers one.
            let mut callers = BTreeSet::from([who]);
            let mut shared = BTreeSet::new();
            loop {
                let size = callers.len();
                shared.extend(
                    made.iter()
                        .filter(|i| i.shared != 0 && callers.contains(&i.by))
                        .map(|i| i.shared),
                );
                callers.extend(made.iter().filter(|i| shared.contains(&i.shared)).map(|i| i.by));
                if callers.len() == size {
                    break;
                }
            }
            for issue in made.iter().filter(|i| callers.contains(&i.by)) {
                reached.extend(nodes.iter().filter(|other| other.credential == issue.credential));
            }
        }
        if reached.len() == before {
            return reached;
        }
    }
}

fn matching(nodes: &BTreeSet<Caller>, who: Caller) -> BTreeSet<Caller> {
    let with = |credential: bool, address: bool| -> BTreeSet<Caller> {
        nodes
            .iter()
            .filter(|node| !credential || (who.credential != 0 && node.credential == who.credential))
            .filter(|node| !address || (who.address != 0 && node.address == who.address))
            .copied()
            .collect()
    };
    let same: BTreeSet<_> = nodes
        .iter()
        .filter(|node| **node == who || (who.agent.is_unknown() && node.with_any_agent() == who))
        .copied()
        .collect();
    if !same.is_empty() {
        return same;
    }
    for found in [with(true, true), with(true, false)] {
        if !found.is_empty() {
            return found;
        }
    }
    if who.credential == 0 {
        with(false, true)
    } else {
        BTreeSet::new()
    }
}

fn act(index: usize, indicator: &str) -> Act {
    Act {
        seen: Seen {
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            event_id: index.to_string(),
            record: 0,
        },
        evidence: Evidence {
            object: String::new(),
            sha256: Digest::of(b""),
            record: 0,
            event_id: String::new(),
        },
        what: String::new(),
        who: Who::default(),
        indicator: indicator.to_owned(),
        mark: None,
    }
}

/// A pivot whose starts are numbers, all of them confirmed; some tools are known as the owners'.
fn pivot(starts: &BTreeSet<Caller>, owners: &BTreeSet<Caller>) -> Pivot {
    let mut pivot = Pivot::new(Vec::new());
    pivot.starts = starts
        .iter()
        .enumerate()
        .map(|(index, who)| Start {
            who: *who,
            acts: vec![act(index, "guardduty:Impact:S3/AnomalousBehavior.Delete")],
        })
        .collect();
    let unused = FirstUse::default();
    pivot.owners = owners.iter().map(|tool| (*tool, unused.clone())).collect();
    pivot.phase = pivot.begin();
    pivot
}

fn run(mut pivot: Pivot, sketches: &[Sketch]) -> Traced {
    if sketches.is_empty() {
        return pivot.finish();
    }
    while {
        for (number, sketch) in (0..).zip(sketches) {
            pivot.see(number, sketch);
        }
        pivot.turn()
    } {}
    pivot.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn rounds_over_sketches_reach_what_the_definition_reaches(
        objects in prop::collection::vec((prop::collection::vec(caller(), 0..5), prop::collection::vec(issuing(), 0..3)), 1..5),
        starts in prop::collection::btree_set(caller(), 1..4),
        owners in prop::collection::btree_set(caller(), 0..4),
    ) {
        let sketches: Vec<_> = objects.iter().map(|(acting, issuing)| Sketch {
            acting: acting.iter().filter(|who| known(**who)).map(|who| Acting { who: *who, period: Period::at(7) }).collect(),
            issuing: issuing.iter().filter(|issue| known(issue.by)).copied().collect(),
        }).collect();
        let nodes: BTreeSet<_> = sketches.iter().flat_map(|s| s.acting.iter().map(|a| a.who)).collect();
        let hostile: BTreeSet<_> = starts.iter().map(|who| who.tool()).collect();
        let owners: BTreeSet<_> = owners.iter().map(|who| who.tool()).filter(|tool| !hostile.contains(tool)).collect();
        let of_others = |who: &Caller| !owners.contains(&who.tool());
        let made: Vec<_> = sketches.iter().flat_map(|s| s.issuing.iter().copied()).filter(|i| of_others(&i.by)).collect();
        let counted: BTreeSet<_> = nodes.iter().copied().filter(of_others).collect();

        let traced = run(pivot(&starts, &owners), &sketches);
        let mut expected = Vec::<BTreeSet<Caller>>::new();
        for who in &starts {
            let begun = matching(&nodes, *who).into_iter().filter(of_others).collect();
            let mut all = reached(&counted, &made, begun);
            all.insert(*who);
            let (overlapping, apart): (Vec<_>, Vec<_>) = expected.into_iter().partition(|known| !known.is_disjoint(&all));
            all.extend(overlapping.into_iter().flatten());
            expected = apart;
            expected.push(all);
        }
        let mut found = BTreeMap::<usize, BTreeSet<Caller>>::new();
        for (who, actor) in &traced.members {
            found.entry(*actor).or_default().insert(*who);
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(&found, &expected);
        for (number, sketch) in (0..).zip(&sketches) {
            let holds = sketch.acting.iter().any(|a| expected.iter().any(|all| all.contains(&a.who)));
            prop_assert_eq!(traced.wants(number, "-"), holds);
        }

        // The order of the objects, objects that repeat others, and how objects are cut change nothing.
        let mut turned: Vec<_> = sketches.iter().rev().cloned().collect();
        turned.extend(sketches.iter().take(2).cloned());
        turned.extend(sketches.iter().flat_map(|s| s.acting.iter().map(|a| Sketch { acting: vec![*a], issuing: Vec::new() })));
        let again = run(pivot(&starts, &owners), &turned);
        prop_assert_eq!(again.members.keys().collect::<BTreeSet<_>>(), traced.members.keys().collect::<BTreeSet<_>>());
        prop_assert_eq!(again.floors.len(), traced.floors.len());
    }
}

/// A credential that only its owner's tool used at the place of the start does not lead back to its maker.
#[test]
fn the_owners_use_of_a_credential_does_not_accuse_its_maker() {
    let caller = |principal, credential, agent| Caller {
        principal,
        credential,
        address: 1,
        agent: Agent::of_word(agent).unwrap(),
    };
    let sketches = [
        Sketch {
            acting: vec![Acting {
                who: caller(1, 1, 2),
                period: Period::at(7),
            }],
            issuing: Vec::new(),
        },
        Sketch {
            acting: Vec::new(),
            issuing: vec![Issuing {
                by: caller(2, 0, 2),
                credential: 1,
                shared: 0,
            }],
        },
    ];
    let start = caller(0, 1, 0);
    let found = |owners: &[Caller]| {
        let owners = owners.iter().map(|who| who.tool()).collect();
        let traced = run(pivot(&BTreeSet::from([start]), &owners), &sketches);
        traced.members.into_keys().collect::<BTreeSet<_>>()
    };
    assert_eq!(found(&[caller(1, 1, 2)]), BTreeSet::from([start]));
    assert_eq!(
        found(&[]),
        BTreeSet::from([start, caller(1, 1, 2), caller(2, 0, 2)])
    );
}

#[test]
fn neighbours_are_drawn_in_unless_too_many_share_the_address() {
    for (principals, drawn_in) in [
        (PRINCIPALS_PER_ADDRESS, true),
        (PRINCIPALS_PER_ADDRESS + 1, false),
    ] {
        let who = Who {
            principal: "p0".to_owned(),
            credential: "k0".to_owned(),
            address: "203.0.113.7".to_owned(),
            agent: Agent::of("aws-cli/2"),
        };
        let strong = Act {
            who: who.clone(),
            ..act(0, "cloudtrail.stop-logging")
        };
        let sketch = Sketch {
            acting: (0..principals)
                .map(|i| Acting {
                    who: Caller::of(&Who {
                        principal: format!("p{i}"),
                        credential: format!("k{i}"),
                        ..who.clone()
                    }),
                    period: Period::at(7),
                })
                .collect(),
            issuing: Vec::new(),
        };
        let traced = run(Pivot::new(vec![strong]), &[sketch]);
        assert_eq!(traced.members.len() == principals, drawn_in, "{principals}");
        assert_eq!(traced.floors, [Some(7)]);
    }
}
