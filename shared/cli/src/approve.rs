//! Looking at a decision package, and voting on it: requests to the gateway.

use std::io::Write;

use aws_config::SdkConfig;
use blackstart_core::approval::vote::{Ballot, Choice};
use blackstart_core::artifact::Digest;
use blackstart_core::run::RunId;
use clap::Args;
use serde_json::{Value, json};

use crate::gateway::{Gateway, GatewayError};

/// Looks at the decision package of a run, or votes on it.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The run.
    #[arg(value_parser = run_id)]
    run: RunId,
    /// Digest of exactly the package that you approve, all 64 digits.
    #[arg(long, value_parser = digest, required_unless_present = "show")]
    digest: Option<Digest>,
    /// Why, in your words.
    #[arg(long, required_unless_present = "show")]
    rationale: Option<String>,
    /// Refuse instead of approving. Final.
    #[arg(long)]
    refuse: bool,
    /// Only show what is proposed and who has voted.
    #[arg(long, conflicts_with_all = ["digest", "rationale", "refuse"])]
    show: bool,
    #[command(flatten)]
    address: Address,
}

/// Where the gate is.
#[derive(Debug, Args)]
pub(crate) struct Address {
    /// Address of the gate: the stack's output `GateUrl`.
    #[arg(long = "gate", env = "BLACKSTART_GATE")]
    gateway: String,
    /// On a local AWS only, whose function URLs verify nobody: the ARN to act as. `--gate` is then the name of the
    /// gate's function.
    #[arg(long, env = "BLACKSTART_LOCAL_IDENTITY", hide = true)]
    local_identity: Option<String>,
}

impl Address {
    pub(crate) fn gateway(&self, config: &SdkConfig) -> Result<Gateway, GatewayError> {
        match &self.local_identity {
            Some(identity) => Gateway::invoking(config, &self.gateway, identity),
            None => Gateway::at(&self.gateway, config),
        }
    }
}

pub(crate) fn run_id(text: &str) -> Result<RunId, String> {
    RunId::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::try_from(text.to_owned()).map_err(|error| error.to_string())
}

impl Approve {
    /// Shows or votes, and says on `out` what the gateway answered.
    pub(crate) async fn run(self, config: &SdkConfig, out: &mut dyn Write) -> Result<(), GatewayError> {
        let gateway = self.address.gateway(config)?;
        let answer = match (self.digest, self.rationale) {
            (Some(digest), Some(rationale)) => {
                let decision = if self.refuse {
                    Choice::Refuse
                } else {
                    Choice::Approve
                };
                vote(
                    &gateway,
                    &self.run,
                    &Ballot {
                        digest,
                        decision,
                        rationale,
                    },
                )
                .await?
            }
            _ => look(&gateway, &self.run).await?,
        };
        show(&answer, out)
    }
}

/// What is before the approvers, and who has voted.
pub(crate) async fn look(gateway: &Gateway, run: &RunId) -> Result<Value, GatewayError> {
    gateway.send("GET", &format!("/runs/{run}"), None).await
}

/// Votes.
pub(crate) async fn vote(gateway: &Gateway, run: &RunId, ballot: &Ballot) -> Result<Value, GatewayError> {
    gateway
        .send("POST", &format!("/runs/{run}/votes"), Some(&json!(ballot)))
        .await
}

/// JSON escapes every control character, so text from logs and policies cannot steer the terminal.
pub(crate) fn show(answer: &Value, out: &mut dyn Write) -> Result<(), GatewayError> {
    writeln!(out, "{answer:#}").map_err(GatewayError::Output)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        approve: Approve,
    }

    fn parse(arguments: &[&str]) -> Result<Line, clap::Error> {
        let common = [
            "approve",
            "orders-0123456789ab",
            "--gate",
            "https://x.lambda-url.us-east-1.on.aws",
        ];
        Line::try_parse_from(common.iter().chain(arguments))
    }

    #[test]
    fn a_vote_needs_the_whole_digest_and_a_rationale() {
        let whole = "a".repeat(64);
        assert!(parse(&["--digest", &whole, "--rationale", "read it"]).is_ok());
        assert!(parse(&["--show"]).is_ok());
        for bad in [
            &["--digest", &whole][..],
            &["--rationale", "read it"],
            &["--digest", "aaaaaaaaaaaa", "--rationale", "read it"],
            &["--show", "--refuse"],
            &[],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
