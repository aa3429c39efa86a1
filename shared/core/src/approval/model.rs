//! A model of the gate, explored to its end: every order in which voters, repeated requests, the deadline, a moved
//! boundary, crashes, an abort and a redrive can meet.
//!
//! What is decided is decided by the real code: [`admit`], [`tally`], [`GateState::decided`] and
//! [`GateRecord::decision`]. What the model has of its own is the order of reads and conditional writes around them, as
//! the `approval` function does them: one step of the model is one call to the ledger or to Step Functions. The search
//! is breadth-first over all reachable states, so that a counterexample is a shortest one.

mod moves;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::fixtures::artifact;
use super::gate::{GateRecord, GateState, SCHEMA};
use super::quorum::{Outcome, Rules, admit, tally};
use super::vote::{Choice, Vote};
use crate::artifact::Digest;
use crate::run::RunId;
use crate::task::approval::Decision;

/// Requests that are under way at the same time.
const REQUESTS: usize = 3;
/// People by index; the last one asked for the run.
const PEOPLE: [&str; 4] = ["ada", "bob", "cy", "requester"];
const QUORUM: u8 = 2;

/// One request of a voter, which the network may deliver twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Request {
    person: u8,
    /// Which of the person's identities.
    identity: u8,
    choice: Choice,
    /// The package that the ballot names.
    package: u8,
}

/// What is wrong with the gate on purpose, to see that the search finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The gate is written without its condition.
    GateOverwritten,
    /// Votes are counted, not people; by identity, as a careless key would store them.
    VotesCounted,
    /// The deadline is not looked at.
    DeadlineIgnored,
    /// Whoever asked for the run may vote.
    RequesterVotes,
    /// The answer is sent for whatever package waits now.
    AnswerForAnyPackage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Gate {
    Absent,
    Open,
    Approved,
    Refused,
    Expired,
    Void,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Record {
    gate: Gate,
    version: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Cast {
    choice: Choice,
    late: bool,
    identity: u8,
}

/// The votes on one package by person and place; the real store has one place per person.
type Votes = [[Option<Cast>; 2]; 4];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Token {
    attempt: u8,
    version: u8,
    taken: bool,
}

/// Where a request is. `late` is its own clock, read when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Before,
    GateRead { late: bool, seen: Record },
    Counting { late: bool, seen: Record },
    Writing { late: bool, seen: Record, wanted: Gate },
    Telling { gate: Gate },
    Holding { gate: Gate, token: Token },
    Sent { token: Token },
    Done,
}

/// What Step Functions does with the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Machine {
    /// The task runs that stores the token of this attempt; then it opens the gate.
    Sealing,
    Opening,
    /// Nothing but the token can end this.
    Waiting,
    /// A person stopped the execution; a redrive waits again, with a new token.
    Aborted,
    /// The wait timed out: the gate is read, then closed, then the token is forgotten.
    Expiring {
        seen: Option<Record>,
    },
    Forgetting,
    Ended,
}

/// What can happen beside the votes. All of it at once has too many orders to be explored in seconds, so a search is
/// given some of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct May {
    /// The time to decide runs out, and the wait with it.
    expire: bool,
    /// The boundary moves.
    move_boundary: bool,
    /// A person aborts the execution and redrives it.
    redrive: bool,
    /// The network delivers a request again.
    repeat: bool,
    /// A sender dies with the token in its hands.
    die: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    late: bool,
    moved: bool,
    /// The package that the state machine asks about.
    package: u8,
    attempt: u8,
    redriven: bool,
    machine: Machine,
    gates: [Record; 2],
    votes: [Votes; 2],
    tokens: [Option<Token>; 2],
    requests: [Phase; REQUESTS],
    /// What may still happen to the voters and the run. Each once.
    may: May,
    /// What Step Functions heard last, about which package, in which attempt.
    heard: Option<(Gate, u8, u8)>,
    /// How many answers it took in this attempt.
    successes: u8,
    /// The package of which somebody was told that it is refused by them.
    refusal_told: [bool; 2],
    /// The package whose gate was closed because nobody decided.
    closed: [bool; 2],
}

struct Model {
    fault: Fault,
    requests: [Request; REQUESTS],
    digests: [Digest; 2],
    /// Decisions by package, votes, moved boundary, clock: the real code is asked once for each.
    known: HashMap<(u8, Votes, bool, bool), Option<Gate>>,
}

fn deadline() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn clock(late: bool) -> Timestamp {
    let minutes = if late { 1 } else { -1 };
    deadline() + SignedDuration::from_mins(minutes)
}

impl Model {
    fn new(fault: Fault, requests: [Request; REQUESTS]) -> Self {
        Self {
            fault,
            requests,
            digests: [Digest::of(b"first package"), Digest::of(b"second package")],
            known: HashMap::new(),
        }
    }

    fn digest(&self, package: u8) -> &Digest {
        &self.digests[usize::from(package)]
    }

    fn rules(&self, package: u8) -> Rules {
        let asked = PEOPLE[3].to_owned();
        let mut eligible: BTreeSet<String> = PEOPLE[..3].iter().map(|p| (*p).to_owned()).collect();
        let careless = self.fault == Fault::RequesterVotes;
        if careless {
            eligible.insert(asked.clone());
        }
        Rules {
            digest: self.digest(package).clone(),
            eligible,
            requester: (!careless).then_some(asked),
            quorum: QUORUM,
            minimum_rationale: 5,
            decide_by: if self.fault == Fault::DeadlineIgnored {
                clock(true)
            } else {
                deadline()
            },
        }
    }

    fn vote(&self, package: u8, person: usize, cast: Cast) -> Vote {
        Vote {
            at: clock(cast.late),
            person: if self.fault == Fault::VotesCounted && cast.identity == 1 {
                // Counted under the name of the role instead of the person's: another eligible "person".
                PEOPLE[(person + 1) % 3].to_owned()
            } else {
                PEOPLE[person].to_owned()
            },
            identity: format!("arn:aws:iam::111111111111:role/{person}-{}", cast.identity),
            digest: self.digest(package).clone(),
            decision: cast.choice,
            rationale: "looked at it".to_owned(),
        }
    }

    fn record(&self, package: u8, state: GateState) -> GateRecord {
        GateRecord {
            schema: SCHEMA.to_owned(),
            run: RunId::of_execution(&super::fixtures::workload(), "x"),
            plan: artifact("plan"),
            package: artifact("package"),
            digest: self.digest(package).clone(),
            requester: None,
            opened: clock(false),
            decide_by: deadline(),
            state,
            answered: None,
        }
    }

    /// What the votes amount to, by the real code.
    fn decided(&mut self, package: u8, world: &World, late: bool) -> Option<Gate> {
        let moved = world.moved && package == 0;
        let votes = world.votes[usize::from(package)];
        if let Some(known) = self.known.get(&(package, votes, moved, late)) {
            return *known;
        }
        let cast: Vec<Vote> = votes
            .iter()
            .enumerate()
            .flat_map(|(person, of)| of.iter().flatten().map(move |cast| (person, *cast)))
            .map(|(person, cast)| self.vote(package, person, cast))
            .collect();
        let rules = self.rules(package);
        let tally = tally(&cast, &rules, moved, clock(late));
        let pending = matches!(tally.outcome, Outcome::Pending { .. });
        let state = GateState::decided(&tally.outcome, Vec::new(), clock(late));
        assert_eq!(pending, state.is_none());
        let gate = state.map(|state| match state {
            GateState::Open {} => Gate::Open,
            GateState::Approved { .. } => Gate::Approved,
            GateState::Refused { .. } => Gate::Refused,
            GateState::Expired { .. } => Gate::Expired,
            GateState::Void { .. } => Gate::Void,
        });
        self.known.insert((package, votes, moved, late), gate);
        gate
    }

    /// What Step Functions would be told, by the real code: which decision about which package.
    fn answer(&self, package: u8, gate: Gate) -> Option<(Gate, u8)> {
        let at = clock(false);
        let state = match gate {
            Gate::Absent | Gate::Open => GateState::Open {},
            Gate::Approved => GateState::Approved { at, by: Vec::new() },
            Gate::Refused => GateState::Refused {
                at,
                by: String::new(),
            },
            Gate::Expired => GateState::Expired { at },
            Gate::Void => GateState::Void { at },
        };
        let (gate, digest) = match self.record(package, state).decision()? {
            Decision::Approved { digest, .. } => (Gate::Approved, digest),
            Decision::Refused { digest, .. } => (Gate::Refused, digest),
            Decision::Void { digest, .. } => (Gate::Void, digest),
        };
        let about = self.digests.iter().position(|known| *known == digest).unwrap();
        Some((gate, u8::try_from(about).unwrap()))
    }

    /// Every state that can follow.
    fn successors(&mut self, world: &World) -> Vec<(String, World)> {
        let mut next = Vec::new();
        Self::environment(world, &mut next);
        Self::machine(world, &mut next);
        for place in 0..REQUESTS {
            self.request(world, place, &mut next);
        }
        next
    }

    /// What must hold in every state.
    fn violation(&self, before: &World, world: &World) -> Option<String> {
        if world.successes > 1 {
            return Some("two answers were taken in one attempt".to_owned());
        }
        for package in 0..2 {
            let (from, to) = (before.gates[package].gate, world.gates[package].gate);
            let decided = !matches!(from, Gate::Absent | Gate::Open);
            // Closing a gate whose wait is over is the one change that may follow a decision.
            if decided && from != to && to != Gate::Expired {
                return Some(format!("a gate that was {from:?} became {to:?}"));
            }
        }
        if world.heard == before.heard {
            return None;
        }
        let (gate, about, _) = world.heard?;
        let asked = before.package;
        if about != asked {
            return Some("the answer is about another package than the one that waits".to_owned());
        }
        let package = usize::from(asked);
        if before.closed[package] {
            return Some("an answer was taken after the gate was closed".to_owned());
        }
        if gate != Gate::Approved {
            return None;
        }
        if before.refusal_told[package] {
            return Some("a package was approved after its refusal had been confirmed".to_owned());
        }
        // Said again without the code under test: distinct people of the roster, in time, not the requester.
        let approving = before.votes[package][..3]
            .iter()
            .filter(|of| {
                of.iter()
                    .flatten()
                    .any(|cast| cast.choice == Choice::Approve && !cast.late)
            })
            .count();
        (approving < usize::from(QUORUM))
            .then(|| format!("approved by {approving} people, {QUORUM} are needed"))
    }

    fn start(may: May) -> World {
        let absent = Record {
            gate: Gate::Absent,
            version: 0,
        };
        World {
            late: false,
            moved: false,
            package: 0,
            attempt: 0,
            redriven: false,
            machine: Machine::Sealing,
            gates: [absent; 2],
            votes: [[[None; 2]; 4]; 2],
            tokens: [None; 2],
            requests: [Phase::Before; REQUESTS],
            may,
            heard: None,
            successes: 0,
            refusal_told: [false; 2],
            closed: [false; 2],
        }
    }

    /// Explores everything that can be reached.
    ///
    /// # Errors
    /// What is wrong, and the shortest way there.
    fn explore(&mut self, may: May) -> Result<Explored, String> {
        let start = Self::start(may);
        let mut worlds = vec![start];
        let mut reached: Vec<(usize, String)> = vec![(0, "the state machine asks".to_owned())];
        let mut places = HashMap::from([(start, 0_usize)]);
        let mut queue = VecDeque::from([0_usize]);
        let mut explored = Explored::default();
        while let Some(place) = queue.pop_front() {
            let world = worlds[place];
            explored.count(&world);
            for (what, successor) in self.successors(&world) {
                explored.transitions += 1;
                if let Some(why) = self.violation(&world, &successor) {
                    return Err(Self::story(&reached, place, &what, &why));
                }
                if let Entry::Vacant(new) = places.entry(successor) {
                    new.insert(worlds.len());
                    queue.push_back(worlds.len());
                    worlds.push(successor);
                    reached.push((place, what));
                }
            }
        }
        explored.states = worlds.len();
        Ok(explored)
    }

    fn story(reached: &[(usize, String)], last: usize, what: &str, why: &str) -> String {
        let mut steps = vec![what.to_owned()];
        let mut place = last;
        while place != 0 {
            let (before, step) = &reached[place];
            steps.push(step.clone());
            place = *before;
        }
        steps.reverse();
        format!("{why}: {}", steps.join("; "))
    }
}

/// What a whole search saw. The counters show that the interesting cases were reached at all.
#[derive(Debug, Default)]
struct Explored {
    states: usize,
    transitions: usize,
    approved: usize,
    refused: usize,
    void: usize,
    closed: usize,
    redriven: usize,
}

impl Explored {
    fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.transitions += other.transitions;
        self.approved += other.approved;
        self.refused += other.refused;
        self.void += other.void;
        self.closed += other.closed;
        self.redriven += other.redriven;
    }

    fn count(&mut self, world: &World) {
        let heard = |wanted| usize::from(world.heard.is_some_and(|(gate, _, _)| gate == wanted));
        self.approved += heard(Gate::Approved);
        self.refused += heard(Gate::Refused);
        self.void += heard(Gate::Void);
        self.closed += usize::from(world.closed[0] || world.closed[1]);
        self.redriven += usize::from(world.redriven && world.heard.is_some());
    }
}

fn request(person: u8, identity: u8, choice: Choice, package: u8) -> Request {
    Request {
        person,
        identity,
        choice,
        package,
    }
}

/// The people who meet at the gate, in several casts.
fn casts() -> [[Request; REQUESTS]; 4] {
    use Choice::{Approve, Refuse};
    [
        // One person through two roles, and a second person.
        [
            request(0, 0, Approve, 0),
            request(0, 1, Approve, 0),
            request(1, 0, Approve, 0),
        ],
        // A quorum, and one who refuses.
        [
            request(0, 0, Approve, 0),
            request(1, 0, Approve, 0),
            request(2, 0, Refuse, 0),
        ],
        // Whoever asked for the run, and a quorum of others.
        [
            request(3, 0, Approve, 0),
            request(0, 0, Approve, 0),
            request(1, 0, Approve, 0),
        ],
        // A vote on the first package, and a quorum on the second.
        [
            request(1, 0, Approve, 0),
            request(0, 0, Approve, 1),
            request(1, 0, Approve, 1),
        ],
    ]
}

/// What happens together in one search.
fn happenings() -> [May; 3] {
    let nothing = May::default();
    [
        May {
            expire: true,
            redrive: true,
            ..nothing
        },
        May {
            move_boundary: true,
            repeat: true,
            ..nothing
        },
        May {
            redrive: true,
            die: true,
            ..nothing
        },
    ]
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "how much was searched, and the shortest ways, are for people"
)]
fn no_order_of_events_opens_the_gate_wrongly() {
    let mut total = Explored::default();
    for (requests, may) in casts()
        .into_iter()
        .flat_map(|requests| happenings().map(|may| (requests, may)))
    {
        let explored = Model::new(Fault::None, requests)
            .explore(may)
            .unwrap_or_else(|story| panic!("{story}"));
        total.add(&explored);
    }
    println!("{total:?}");
    let reached = [
        total.approved,
        total.refused,
        total.void,
        total.closed,
        total.redriven,
    ];
    assert!(
        total.states > 50_000 && reached.iter().all(|states| *states > 100),
        "{total:?}"
    );
}

/// A search that cannot find a fault proves nothing.
#[test]
#[expect(
    clippy::print_stdout,
    reason = "how much was searched, and the shortest ways, are for people"
)]
fn the_search_finds_every_gate_that_is_broken_on_purpose() {
    let [two_roles, refusal, requester, two_packages] = casts();
    let everything = May {
        expire: true,
        move_boundary: true,
        redrive: true,
        repeat: true,
        die: true,
    };
    for (fault, requests, why) in [
        (Fault::GateOverwritten, refusal, "became"),
        (Fault::VotesCounted, two_roles, "approved by 1 people"),
        (Fault::DeadlineIgnored, two_roles, "2 are needed"),
        (Fault::RequesterVotes, requester, "approved by 1 people"),
        (Fault::AnswerForAnyPackage, two_packages, "another package"),
    ] {
        let story = Model::new(fault, requests)
            .explore(everything)
            .expect_err("the fault is not found");
        println!("{fault:?}: {story}");
        assert!(story.contains(why), "{fault:?}: {story}");
    }
}
