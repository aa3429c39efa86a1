//! The handler, beside fakes of which every call can be lost before or after it had its effect.

use blackstart_aws::records::memory::MemoryRecords;
use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::run::RunId;
use blackstart_core::task::restore::{Operation, RestoreProgress};
use blackstart_core::task::{Progress, StateContext, Task};
use blackstart_core::validation::verdict::RestoreState;
use jiff::Timestamp;

use self::world::{Fake, World, digest};
use crate::{Deps, Output, RestoreError, handle};

mod adopting;
mod again;
mod removing;
mod restoring;
mod world;

/// AWS Backup completes every job.
fn complete(fake: &Fake) {
    let mut world = fake.world();
    let World { jobs, there, .. } = &mut *world;
    for (_, name, job) in jobs.values_mut() {
        job.state = RestoreState::Completed;
        there.entry(name.clone()).or_insert(None);
    }
}

struct Bench {
    deps: Deps<&'static Fake, MemoryRecords, &'static Fake>,
}

impl Bench {
    fn new() -> Self {
        let fake: &'static Fake = Box::leak(Box::new(Fake::new()));
        Self {
            deps: Deps {
                run: fake,
                records: MemoryRecords::default(),
                account: fake,
            },
        }
    }

    async fn ask(&self, operation: &str) -> Result<Output, RestoreError> {
        self.ask_again(operation, 0).await
    }

    /// The same, after an operator had the run go on `attempt` times.
    async fn ask_again(&self, operation: &str, attempt: u32) -> Result<Output, RestoreError> {
        let (plan, run) = {
            let world = self.deps.run.world();
            (
                world.package.plan.clone(),
                RunId::try_from("orders-0123456789ab".to_owned()).unwrap(),
            )
        };
        let package = plan.clone();
        let input = match operation {
            "start" => Operation::Start {
                plan,
                package,
                digest: digest(),
                attempt,
            },
            "poll" => Operation::Poll { plan },
            "adopt" => Operation::Adopt {
                plan,
                package,
                digest: digest(),
            },
            "clean_up" => Operation::CleanUp { plan },
            _ => Operation::Verify {
                plan,
                package,
                digest: digest(),
            },
        };
        let task = Task {
            context: StateContext {
                execution: "arn:e".to_owned(),
                started: Timestamp::UNIX_EPOCH,
                state: "Restore data".to_owned(),
                entered: Timestamp::UNIX_EPOCH,
                retry_count: 0,
                redrive_count: 0,
            },
            run: Some(run),
            input,
        };
        handle(task, &self.deps, Timestamp::UNIX_EPOCH).await
    }

    /// Asks until something else than a transient failure comes back, as the state machine does.
    async fn insist(&self, operation: &str) -> Result<Output, RestoreError> {
        for _ in 0..5 {
            match self.ask(operation).await {
                Err(error) if error.name() == ErrorName::Transient => {}
                other => return other,
            }
        }
        panic!("always transient");
    }

    fn started(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .deps
            .run
            .world()
            .jobs
            .values()
            .map(|job| job.1.clone())
            .collect();
        names.sort();
        names
    }
}

const BOTH: [&str; 2] = ["orders-data-restored", "orders-restored"];

fn progress(output: &Output) -> Progress {
    match output {
        Output::Progress(RestoreProgress { progress }) => *progress,
        Output::Restored(_) | Output::Removed(_) => panic!("another answer"),
    }
}
