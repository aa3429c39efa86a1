//! Checking a recovery plan before it is needed.

use std::io::Write;
use std::path::PathBuf;

use blackstart_core::plan::{Plan, line_of};
use clap::{Args, Subcommand};

/// What can be done with a plan.
#[derive(Debug, Args)]
pub(crate) struct PlanCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Reports every problem of a plan with its line; exits with 0 if there is none, and with 1 if there is.
    Check {
        /// The plan, a JSON file.
        file: PathBuf,
    },
}

/// The plan cannot be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The answer cannot be shown.
    #[error("the answer cannot be written")]
    Output(#[source] std::io::Error),
}

impl PlanCommand {
    /// Does it. `false`: the plan has problems, and they are written to `out`.
    ///
    /// # Errors
    /// [`PlanError`].
    pub(crate) fn run(self, out: &mut impl Write) -> Result<bool, PlanError> {
        let Action::Check { file } = self.action;
        let bytes = std::fs::read(&file).map_err(|source| PlanError::Unreadable {
            path: file.clone(),
            source,
        })?;
        let name = file.display();
        match Plan::parse(&bytes) {
            Ok(plan) => {
                writeln!(
                    out,
                    "{name}: a sound plan for `{}`: {} resource(s), {} stack(s), {} secret(s)",
                    plan.workload,
                    plan.resources.len(),
                    plan.rebuild.stacks.len(),
                    plan.rotation.secrets.len()
                )
                .map_err(PlanError::Output)?;
                Ok(true)
            }
            Err(invalid) => {
                let text = String::from_utf8_lossy(&bytes);
                let mut problems: Vec<_> = invalid
                    .0
                    .iter()
                    .map(|problem| (line_of(&text, &problem.at), problem))
                    .collect();
                problems.sort();
                for (line, problem) in &problems {
                    writeln!(
                        out,
                        "{name}:{line}: {}: {}",
                        problem.at.escape_debug(),
                        problem.what.escape_debug()
                    )
                    .map_err(PlanError::Output)?;
                }
                writeln!(out, "{} problem(s)", problems.len()).map_err(PlanError::Output)?;
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        let action = Action::Check { file };
        let sound = PlanCommand { action }.run(&mut out).unwrap();
        (sound, String::from_utf8(out).unwrap())
    }

    #[test]
    fn all_problems_are_reported_with_their_lines_and_a_sound_plan_is_said_to_be_one() {
        let plan = include_str!("../../../tests/data/plan/orders.json");
        let (sound, out) = check(plan);
        assert!(sound, "{out}");
        assert!(out.contains("a sound plan for `orders`"), "{out}");

        let bad = plan.replace("\"quorum\": 2", "\"quorum\": 7").replacen(
            "\"region\"",
            "\"regoin\": \"\\u202e\",\n  \"region\"",
            1,
        );
        let (sound, out) = check(&bad);
        assert!(!sound);
        assert!(out.contains("plan.json:4: regoin: unknown field"), "{out}");
        assert!(out.contains("approval.quorum: must be between"), "{out}");
        assert!(out.ends_with("2 problem(s)\n"), "{out}");
    }
}
