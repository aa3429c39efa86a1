//! Execution histories for tests, written as a script: one event per line, `SECOND WHAT [TEXT] [< EVENT]`.
//!
//! An event follows the one before it; `< 3` says that it follows the third, as events of parallel branches do.

use jiff::{Timestamp, ToSpan as _};

use super::{ExecutionHistory, HistoryEvent};

/// An instant of a test: seconds since the epoch.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + second.seconds()
}

/// The history of an execution that still runs.
pub(crate) fn running(execution: &str, script: &str) -> ExecutionHistory {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    ExecutionHistory {
        execution: execution.to_owned(),
        status: "RUNNING".to_owned(),
        started: at(0),
        ended: None,
        events: (1..).zip(lines).map(|(id, line)| event(id, line)).collect(),
    }
}

fn event(id: i64, line: &str) -> HistoryEvent {
    let (line, previous) = match line.split_once(" < ") {
        Some((line, previous)) => (line, previous.parse().unwrap()),
        None => (line, id - 1),
    };
    let mut words = line.splitn(3, ' ');
    let second: i64 = words.next().unwrap().parse().unwrap();
    let what = words.next().unwrap();
    let text = words.next().map(str::to_owned);
    let mut event = HistoryEvent {
        id,
        previous,
        at: at(second),
        kind: String::new(),
        state: None,
        resource: None,
        error: None,
    };
    let kind = match what {
        "enters" | "leaves" | "waits" | "wakes" | "passes" | "forks" => {
            event.state = text;
            match what {
                "enters" => "TaskStateEntered",
                "leaves" => "TaskStateExited",
                "waits" => "WaitStateEntered",
                "wakes" => "WaitStateExited",
                "passes" => "PassStateEntered",
                _ => "ParallelStateEntered",
            }
        }
        "calls" => {
            event.resource = Some("lambda:invoke".to_owned());
            "TaskScheduled"
        }
        "asks" => {
            event.resource = Some("lambda:invoke.waitForTaskToken".to_owned());
            "TaskScheduled"
        }
        "answers" => "TaskSucceeded",
        "fails" => {
            event.error = text;
            "TaskFailed"
        }
        "breaks-off" => "ExecutionFailed",
        "is-aborted" => "ExecutionAborted",
        "is-redriven" => "ExecutionRedriven",
        other => panic!("`{other}` is no word of a script"),
    };
    kind.clone_into(&mut event.kind);
    event
}
