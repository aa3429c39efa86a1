//! What can happen next: time and late evidence, the state machine, the requests of people.

use super::*;

impl Model {
    pub(super) fn environment(world: &World, next: &mut Vec<(String, World)>) {
        let mut add = |what: &str, change: &dyn Fn(&mut World)| {
            let mut changed = *world;
            change(&mut changed);
            next.push((what.to_owned(), changed));
        };
        if world.may.expire && !world.late {
            add("the time to decide is over", &|world| world.late = true);
        }
        if world.may.move_boundary && !world.moved {
            add("the boundary moves", &|world| world.moved = true);
        }
        if world.may.redrive && world.machine == Machine::Waiting {
            add("a person aborts the execution", &|world| {
                world.machine = Machine::Aborted
            });
        }
        if world.machine == Machine::Waiting && world.late {
            add("the wait times out", &|world| {
                world.machine = Machine::Expiring { seen: None };
            });
        }
        if world.machine == Machine::Aborted {
            add("a person redrives the execution", &|world| {
                world.machine = Machine::Sealing;
                world.may.redrive = false;
                world.redriven = true;
                world.attempt += 1;
                world.successes = 0;
            });
        }
        // A claim lapses after functions that send are dead.
        for package in 0..2 {
            let held = world
                .requests
                .iter()
                .any(|phase| matches!(phase, Phase::Holding { .. } | Phase::Sent { .. }));
            if !held && world.tokens[package].is_some_and(|token| token.taken) {
                add("a claim lapses", &|world| {
                    if let Some(token) = &mut world.tokens[package] {
                        token.taken = false;
                    }
                });
            }
        }
    }

    pub(super) fn machine(world: &World, next: &mut Vec<(String, World)>) {
        let package = usize::from(world.package);
        let mut changed = *world;
        let what = match world.machine {
            Machine::Sealing => {
                let version = world.tokens[package].map_or(1, |token| token.version + 1);
                changed.tokens[package] = Some(Token {
                    attempt: world.attempt,
                    version,
                    taken: false,
                });
                changed.machine = Machine::Opening;
                "the token is stored"
            }
            Machine::Opening => {
                if world.gates[package].gate == Gate::Absent {
                    changed.gates[package] = Record {
                        gate: Gate::Open,
                        version: 1,
                    };
                }
                changed.machine = Machine::Waiting;
                "the gate is opened"
            }
            Machine::Expiring { seen: None } => {
                changed.machine = Machine::Expiring {
                    seen: Some(world.gates[package]),
                };
                "the gate is read to close it"
            }
            Machine::Expiring { seen: Some(seen) } => {
                if seen.gate == Gate::Expired {
                    changed.closed[package] = true;
                    changed.machine = Machine::Forgetting;
                } else if seen.version == world.gates[package].version {
                    changed.gates[package] = Record {
                        gate: Gate::Expired,
                        version: seen.version + 1,
                    };
                    changed.closed[package] = true;
                    changed.machine = Machine::Forgetting;
                } else {
                    changed.machine = Machine::Expiring { seen: None };
                }
                "the gate is closed"
            }
            Machine::Forgetting => {
                changed.tokens[package] = None;
                changed.machine = Machine::Ended;
                "the token is forgotten"
            }
            Machine::Waiting | Machine::Aborted | Machine::Ended => return,
        };
        next.push((what.to_owned(), changed));
    }

    pub(super) fn request(&mut self, world: &World, place: usize, next: &mut Vec<(String, World)>) {
        let request = self.requests[place];
        let package = usize::from(request.package);
        let (person, identity) = (usize::from(request.person), usize::from(request.identity));
        // One place per person, unless that is what is broken.
        let slot = if self.fault == Fault::VotesCounted {
            identity
        } else {
            0
        };
        let mut changed = *world;
        let mut push = |what: &str, phase: Phase, mut changed: World| {
            changed.requests[place] = phase;
            next.push((format!("request {place}: {what}"), changed));
        };
        match world.requests[place] {
            Phase::Before => {
                let seen = world.gates[package];
                let phase = if seen.gate == Gate::Absent {
                    Phase::Done
                } else {
                    Phase::GateRead {
                        late: world.late,
                        seen,
                    }
                };
                push("the gate is read", phase, changed);
            }
            Phase::GateRead { late, seen } => {
                let cast = Cast {
                    choice: request.choice,
                    late,
                    identity: request.identity,
                };
                let earlier = world.votes[package][person][slot];
                let repeated = earlier.is_some_and(|earlier| earlier.choice == cast.choice);
                let vote = self.vote(request.package, person, Cast { identity: 0, ..cast });
                let admitted = repeated || admit(&vote, &self.rules(request.package)).is_ok();
                if admitted && !repeated && seen.gate == Gate::Open {
                    if earlier.is_some() {
                        push("has voted already", Phase::Done, changed);
                        return;
                    }
                    changed.votes[package][person][slot] = Some(cast);
                    push("the vote is stored", Phase::Counting { late, seen }, changed);
                } else {
                    push("no new vote", Phase::Counting { late, seen }, changed);
                }
            }
            Phase::Counting { late, seen } => {
                if seen.gate != Gate::Open {
                    push("the gate is decided", Phase::Telling { gate: seen.gate }, changed);
                    return;
                }
                match self.decided(request.package, world, late) {
                    None => push("pending", Phase::Done, changed),
                    Some(wanted) => push("counted", Phase::Writing { late, seen, wanted }, changed),
                }
            }
            Phase::Writing { late, seen, wanted } => {
                let now = world.gates[package];
                if now.version == seen.version || self.fault == Fault::GateOverwritten {
                    changed.gates[package] = Record {
                        gate: wanted,
                        version: now.version + 1,
                    };
                    push("decides", Phase::Telling { gate: wanted }, changed);
                } else {
                    push("lost the race", Phase::Counting { late, seen: now }, changed);
                }
            }
            Phase::Telling { gate } => {
                let refused_by_me = gate == Gate::Refused
                    && request.choice == Choice::Refuse
                    && world.votes[package][person][slot].is_some();
                changed.refusal_told[package] |= refused_by_me;
                if self.answer(request.package, gate).is_none() {
                    push("nothing to tell", Phase::Done, changed);
                    return;
                }
                let store = if self.fault == Fault::AnswerForAnyPackage {
                    usize::from(world.package)
                } else {
                    package
                };
                match world.tokens[store] {
                    Some(token) if !token.taken => {
                        let token = Token {
                            taken: true,
                            version: token.version + 1,
                            ..token
                        };
                        changed.tokens[store] = Some(token);
                        push("takes the token", Phase::Holding { gate, token }, changed);
                    }
                    Some(_) | None => push("no token to take", Phase::Done, changed),
                }
            }
            Phase::Holding { gate, token } => {
                if world.may.die {
                    let mut dead = changed;
                    dead.may.die = false;
                    push("dies with the token", Phase::Done, dead);
                }
                if world.machine == Machine::Waiting && world.attempt == token.attempt {
                    let (gate, about) = self.answer(request.package, gate).unwrap();
                    changed.heard = Some((gate, about, world.attempt));
                    changed.successes += 1;
                    if gate == Gate::Void && about == 0 {
                        // A new package is made under the boundary of now.
                        changed.package = 1;
                        changed.attempt += 1;
                        changed.successes = 0;
                        changed.machine = Machine::Sealing;
                    } else {
                        changed.machine = Machine::Ended;
                    }
                    if world.may.die {
                        let mut dead = changed;
                        dead.may.die = false;
                        push("answers, and dies", Phase::Done, dead);
                    }
                    push("answers", Phase::Sent { token }, changed);
                } else {
                    push("is too late", Phase::Sent { token }, changed);
                }
            }
            Phase::Sent { token } => {
                for held in &mut changed.tokens {
                    if *held == Some(token) {
                        *held = None;
                    }
                }
                push("forgets the token", Phase::Done, changed);
            }
            Phase::Done => {}
        }
        // The network delivers a request twice.
        if world.requests[place] == Phase::Done && world.may.repeat {
            let mut again = *world;
            again.may.repeat = false;
            again.requests[place] = Phase::Before;
            next.push((format!("request {place}: is delivered again"), again));
        }
    }
}
