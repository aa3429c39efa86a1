//! What the responder, the auditor and the owner of the next drill ask, and where the report answers.

use strum::IntoEnumIterator as _;

use super::tests::{HOSTILE, at, record};
use super::*;
use crate::artifact::ArtifactRef;
use crate::critical_path::Stage;
use crate::run::{Mode, RunId};

fn step(state: &str, from: i64, to: i64) -> RecordedStep {
    RecordedStep {
        entered: at(from),
        began: at(from),
        ended: at(to),
        state: state.to_owned(),
        operation: String::new(),
        execution: "x".to_owned(),
        outcome: "ok".to_owned(),
        retry_count: 0,
    }
}

fn reported(state: State, facts: Facts) -> Report {
    build(record(), Targets::default(), state, facts)
}

fn concluded(conclusion: Conclusion) -> State {
    State::concluded(conclusion, "because".to_owned(), at(60))
}

#[test]
fn the_responder_finds_the_command_and_what_the_error_asks() {
    let state = State {
        standing: Standing::Stuck,
        conclusion: None,
        reason: "Recovery.PolicyRefused: starting the restore was refused".to_owned(),
        now: at(60),
    };
    let report = reported(state, Facts::default());
    let run = report.run.run.to_string();
    assert!(
        report.next_steps[0].contains("Await operator"),
        "{:?}",
        report.next_steps
    );
    assert!(
        report.next_steps[1].contains("permission"),
        "{:?}",
        report.next_steps
    );
    let command = format!("blackstart cutover resume {run}");
    assert!(report.next_steps.iter().any(|step| step.contains(&command)));
    for conclusion in [Conclusion::Refused, Conclusion::Expired, Conclusion::Failed] {
        let again = reported(concluded(conclusion), Facts::default()).next_steps;
        assert!(
            again
                .iter()
                .any(|step| step.contains("{\"workload\": \"orders\"}")),
            "{again:?}"
        );
    }
}

#[test]
fn a_refusal_says_at_once_who_refused_and_why() {
    let vote = |person: &str, decision, rationale: &str| Vote {
        at: at(30),
        person: person.to_owned(),
        identity: String::new(),
        digest: Digest::of(b""),
        decision,
        rationale: rationale.to_owned(),
    };
    let facts = Facts {
        votes: vec![
            vote("ada", Choice::Approve, "looks good to me"),
            vote("grace", Choice::Refuse, HOSTILE),
        ],
        ..Facts::default()
    };
    let report = reported(concluded(Conclusion::Refused), facts);
    assert_eq!(report.reason, format!("because; grace said: {HOSTILE}"));
    let html = page(&report);
    assert!(html.find("grace said").unwrap() < html.find("What to do next").unwrap());
    assert!(!html.contains("<script"));
}

/// Two packages were approved, by other people: neither answer may be shown as the other's.
#[test]
fn every_package_that_was_put_before_people_is_shown_with_its_votes() {
    let gate = |package: &[u8], state, minute: i64| GateRecord {
        schema: "blackstart.gate/1".to_owned(),
        run: record().run,
        plan: record().plan,
        package: record().plan,
        digest: Digest::of(package),
        requester: None,
        opened: at(minute * 60),
        decide_by: at(minute * 60 + 600),
        state,
        answered: None,
    };
    let vote = |person: &str, package: &[u8], rationale: &str| Vote {
        at: at(30),
        person: person.to_owned(),
        identity: String::new(),
        digest: Digest::of(package),
        decision: Choice::Approve,
        rationale: rationale.to_owned(),
    };
    let approved = |by: &str| GateState::Approved {
        at: at(90),
        by: vec![by.to_owned()],
    };
    let facts = Facts {
        earlier_decisions: vec![Decision {
            gate: gate(b"first", approved("ada"), 1),
            votes: vec![vote("ada", b"first", "the set before the intrusion")],
        }],
        gate: Some(gate(b"second", approved("grace"), 2)),
        votes: vec![vote("grace", b"second", HOSTILE)],
        ..Facts::default()
    };
    let report = reported(concluded(Conclusion::Recovered), facts);
    let html = page(&report);
    let of = |what: &str| html.find(what).unwrap_or_else(|| panic!("{what} is not shown"));
    let order = [
        of("approved at 1970-01-01 00:01:30 by ada"),
        of("the set before the intrusion"),
        of("by grace"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert!(!html.contains("<script"));
}

#[test]
fn an_operator_s_answer_is_on_the_page_and_in_the_summary() {
    let answered = crate::evidence::Event::new(crate::evidence::Kind::OperatorAnswered, at(40))
        .fact("person", "grace")
        .fact("choice", "resume")
        .fact("rationale", HOSTILE);
    let opened = crate::evidence::Event::new(crate::evidence::Kind::RunOpened, at(0));
    let run = record().run;
    let first = crate::evidence::append(&run, None, opened).unwrap();
    let second = crate::evidence::append(&run, Some(&first), answered).unwrap();
    let facts = Facts {
        operators: OperatorAnswer::all_of(&[first, second]),
        ..Facts::default()
    };
    let report = reported(concluded(Conclusion::Recovered), facts);
    assert_eq!(report.operators.len(), 1);
    let html = page(&report);
    assert!(html.contains("<strong>grace</strong> chose resume"));
    assert!(!html.contains("<script"));
    assert!(summary(&report).contains("operator `grace` chose `resume`"));
}

#[test]
fn the_auditor_reads_what_every_document_proves_and_how_to_check_it() {
    let artifact = ArtifactRef {
        bucket: "b".to_owned(),
        key: "k".to_owned(),
        version: None,
        sha256: Digest::of(b"k"),
        bytes: 0,
    };
    let facts = Facts {
        documents: Document::iter()
            .map(|document| NamedDocument::new(document, artifact.clone()))
            .collect(),
        evidence: Some(EvidenceHead {
            links: 3,
            head: Digest::of(b"head"),
        }),
        ..Facts::default()
    };
    let html = page(&reported(concluded(Conclusion::Recovered), facts));
    for document in Document::iter() {
        assert!(
            html.contains(&format!("<dt>{}</dt>", document.words())),
            "{document:?}"
        );
        assert!(html.contains(document.proves()), "{document:?}");
    }
    assert!(html.contains("blackstart evidence verify"));
}

/// Timeline 100 s, validation 300 s (250 of them in one state), then restore 20 s.
fn timed(earlier: &[(Stage, f64)]) -> String {
    let facts = Facts {
        steps: vec![
            step("Merge timeline", 0, 100),
            step("Start trial", 0, 50),
            step("Judge set", 50, 300),
            step("Restore data", 300, 320),
        ],
        earlier: vec![trend::RunDurations {
            schema: String::new(),
            run: RunId::of_execution(&record().workload, "before"),
            mode: Mode::Drill,
            started: at(-1_000),
            conclusion: Conclusion::Rehearsed,
            measured: 100.0,
            stages: earlier.iter().copied().collect(),
        }],
        ..Facts::default()
    };
    page(&reported(concluded(Conclusion::Rehearsed), facts))
}

#[test]
fn the_next_drill_s_owner_reads_what_saves_most_and_where_that_time_went() {
    let html = timed(&[(Stage::Restore, 19.0), (Stage::Validation, 100.0)]);
    let of = |words: &str| {
        html.find(words)
            .unwrap_or_else(|| panic!("{words} is not on the page"))
    };
    let most =
        of("validation twice as fast: −2 min 30 s <small>(mostly Judge set: 4 min 10 s of work)</small>");
    assert!(most < of("restore twice as fast: −10 s"));
    assert!(of("restore twice as fast: −10 s") < of("timeline twice as fast: saves nothing</li>"));
    assert!(html.contains("Slower than in earlier runs: validation 5 min (before: 1 min 40 s)."));
    assert!(!timed(&[(Stage::Validation, 290.0)]).contains("Slower than"));
}
