//! One recovery on the local AWS, from outside: start it, follow it, vote, and look at how it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sfn::types::ExecutionStatus;
use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::gate::{GateRecord, GateState};
use blackstart_core::approval::vote::{Ballot, Choice};
use blackstart_core::critical_path::RecordedStep;
use blackstart_core::error_name::error_chain;
use blackstart_core::ledger::Key;
use blackstart_core::references::InventoryDocument;
use blackstart_core::report::Report;
use blackstart_core::report::trend::RunDurations;
use blackstart_core::run::RunId;
use blackstart_core::timeline::CurrentBoundary;
use blackstart_core::validation::SelectionDocument;
use blackstart_local::LocalAws;
use blackstart_local::accounts::{OLD, RECOVERY};
use blackstart_local::deploy::{self, Deployed};
use blackstart_local::organisation::{Organisation, Ready, Scenario};
use blackstart_local::project::Project;
use serde_json::{Value, json};

use super::late::Late;
use super::operator::Stuck;
use crate::approve;
use crate::gateway::Gateway;

/// How often the execution is looked at.
pub(super) const GLANCE: Duration = Duration::from_millis(250);
/// How many looks before a drill is given up: ten minutes.
const GLANCES: u32 = 2_400;

/// A drill cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DrillFailed {
    /// The local AWS does not start.
    #[error(transparent)]
    Start(#[from] blackstart_local::StartError),
    /// A step of setting up or checking.
    #[error(transparent)]
    Step(#[from] blackstart_local::step::StepFailed),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A call to the local AWS.
    #[error("{doing} failed: {cause}")]
    Call {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        cause: String,
    },
    /// The rule did not start an execution.
    #[error("no execution was started within ten seconds of the finding")]
    NotStarted,
    /// The execution did not end.
    #[error("the execution did not end within ten minutes; at last {0}")]
    Endless(String),
    /// The run waits for an operator who cannot help.
    #[error("the run is stuck and waits for an operator; before that, {0}")]
    Stuck(String),
    /// A finding that came late changed nothing.
    #[error("the event boundary did not move within a minute of finding `{0}`")]
    Unmoved(String),
    /// The gateway did not take a vote.
    #[error("the gateway turned the vote of `{person}` away: {answer}")]
    Vote {
        /// Who voted.
        person: String,
        /// What the gateway answered.
        answer: String,
    },
}

pub(super) fn call<E: std::error::Error>(doing: &'static str) -> impl Fn(E) -> DrillFailed {
    move |error| DrillFailed::Call {
        doing,
        cause: error_chain(&error),
    }
}

/// What starts the recovery.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// A GuardDuty finding on the event bus.
    Finding(Value),
    /// An input, as from the console.
    Input(Value),
}

/// A real-shaped finding about the old account.
#[must_use]
pub fn finding(id: &str) -> Value {
    json!({
        "schemaVersion": "2.0", "id": id, "accountId": OLD, "region": "us-east-1", "partition": "aws",
        "arn": format!("arn:aws:guardduty:us-east-1:{OLD}:detector/{DETECTOR}/finding/{id}"),
        "type": "Impact:S3/AnomalousBehavior.Delete", "severity": 8,
        "createdAt": "2023-07-10T12:31:10.000Z", "updatedAt": "2023-07-10T12:31:10.000Z",
        "title": "An IAM entity deleted S3 objects in an unusual way.",
        "description": "APIs commonly used in Impact tactics were invoked by user bert-jan.",
        "service": {
            "serviceName": "guardduty", "detectorId": DETECTOR, "count": 1, "archived": false,
            "eventFirstSeen": "2023-07-10T12:20:00.000Z", "eventLastSeen": "2023-07-10T12:28:00.000Z",
            "additionalInfo": {"value": "{}", "type": "default"}
        },
        "resource": {"resourceType": "AccessKey"}
    })
}

const DETECTOR: &str = "4ab1cd23ef45ab67cd89ef01ab23cd45";

/// The local AWS with the organisation in it and Blackstart deployed.
#[derive(Debug)]
pub struct Stage {
    /// The local AWS.
    pub local: LocalAws,
    /// The organisation.
    pub organisation: Organisation,
    /// What was deployed.
    pub deployed: Deployed,
    /// Plan and people.
    pub ready: Ready,
    ledger: Ledger,
    artifacts: ArtifactStore,
    sfn: aws_sdk_sfn::Client,
}

/// An execution of the recovery state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// The run that it opens, if it opens one.
    pub run: RunId,
}

/// What is before the approvers.
#[derive(Debug)]
pub struct Proposal {
    /// The gate.
    pub gate: GateRecord,
    /// The decision package.
    pub package: DecisionPackage,
    /// Why this set.
    pub selection: SelectionDocument,
    /// What the siblings say about the old account.
    pub inventory: InventoryDocument,
}

/// What the people say, with their rationale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes or no.
    pub choice: Choice,
    /// Why.
    pub rationale: String,
}

/// How an execution ended.
#[derive(Debug)]
pub struct Ended {
    /// Status of the execution.
    pub status: ExecutionStatus,
    /// Output, or error and cause.
    pub output: Value,
    /// The report, if the execution opened a run.
    pub report: Option<Report>,
    /// What was seen each time that the run waited for an operator.
    pub stuck: Vec<Stuck>,
    /// What was before the approvers when late evidence arrived, and at last.
    pub late: Vec<Late>,
}

impl Stage {
    /// Builds the functions, starts the local AWS, makes the organisation and deploys. `say` is told each step.
    ///
    /// # Errors
    /// [`DrillFailed`].
    pub async fn set(
        project: &Project,
        scenario: Scenario,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, DrillFailed> {
        say("building the functions");
        deploy::build_functions(project).await?;
        say("starting the local AWS");
        let local = LocalAws::start(project, ENFORCE_POLICIES).await?;
        say("making the organisation: accounts, logs, backups, references, DNS");
        let organisation = Organisation::establish(&local, project, scenario).await?;
        say("deploying template.yaml into the recovery account");
        let template = project.root().join("template.yaml");
        let deployed = deploy::deploy(&local, &template, &organisation.parameters()).await?;
        let ready = organisation.publish(&local, &deployed).await?;
        let config = local.root_of(RECOVERY);
        if scenario == Scenario::Crash {
            local
                .ministack()
                .crash_cutover_once()
                .map_err(call("asking for the crash"))?;
        }
        Ok(Self {
            ledger: Ledger::new(&config, deployed.output("LedgerTable")?.to_owned()),
            artifacts: ArtifactStore::new(&config, deployed.output("ArtifactBucket")?.to_owned()),
            sfn: aws_sdk_sfn::Client::new(&config),
            local,
            organisation,
            deployed,
            ready,
        })
    }

    /// Starts a recovery and returns its execution.
    ///
    /// # Errors
    /// [`DrillFailed`].
    pub async fn start(&self, trigger: &Trigger) -> Result<Execution, DrillFailed> {
        let machine = self.deployed.output("RecoveryStateMachine")?;
        let arn = match trigger {
            Trigger::Input(input) => {
                let started = self
                    .sfn
                    .start_execution()
                    .state_machine_arn(machine)
                    .input(input.to_string());
                started
                    .send()
                    .await
                    .map_err(call("starting the state machine"))?
                    .execution_arn
            }
            Trigger::Finding(finding) => {
                let before = self.executions(machine).await?;
                self.put_on_the_bus(finding).await?;
                self.new_execution(machine, &before).await?
            }
        };
        let run = RunId::of_execution(&self.ready.plan.workload, &arn);
        Ok(Execution { arn, run })
    }

    pub(super) async fn put_on_the_bus(&self, finding: &Value) -> Result<(), DrillFailed> {
        self.local
            .standin()
            .control()
            .add_finding(RECOVERY, finding.clone());
        let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
            .source("aws.guardduty")
            .detail_type("GuardDuty Finding")
            .detail(finding.to_string())
            .build();
        aws_sdk_eventbridge::Client::new(&self.local.root_of(RECOVERY))
            .put_events()
            .entries(entry)
            .send()
            .await
            .map_err(call("putting the finding on the bus"))?;
        Ok(())
    }

    async fn executions(&self, machine: &str) -> Result<Vec<String>, DrillFailed> {
        let listed = self.sfn.list_executions().state_machine_arn(machine).send().await;
        let listed = listed.map_err(call("listing executions"))?;
        Ok(listed
            .executions
            .into_iter()
            .map(|execution| execution.execution_arn)
            .collect())
    }

    async fn new_execution(&self, machine: &str, before: &[String]) -> Result<String, DrillFailed> {
        for _ in 0..40 {
            if let Some(new) = self
                .executions(machine)
                .await?
                .into_iter()
                .find(|arn| !before.contains(arn))
            {
                return Ok(new);
            }
            tokio::time::sleep(GLANCE).await;
        }
        Err(DrillFailed::NotStarted)
    }

    /// Follows an execution to its end: `step` is told of every step, `decide` is asked at every gate. `None`: nobody
    /// votes, and it is asked again.
    ///
    /// # Errors
    /// [`DrillFailed`].
    pub async fn follow(
        &self,
        execution: &Execution,
        decide: &mut dyn FnMut(&Proposal) -> Option<Answer>,
        step: &mut dyn FnMut(&RecordedStep),
    ) -> Result<Ended, DrillFailed> {
        let mut told = 0;
        let mut last = String::new();
        let mut stuck = Vec::new();
        let mut late = Vec::new();
        for _ in 0..GLANCES {
            let described = self
                .sfn
                .describe_execution()
                .execution_arn(&execution.arn)
                .send()
                .await;
            let described = described.map_err(call("looking at the execution"))?;
            let mut steps: Vec<RecordedStep> = self.rows(&execution.run, Key::STEP_PREFIX).await?;
            steps.sort_by_key(|step| step.ended);
            for new in steps.iter().skip(told) {
                last = format!("`{}` ended with {}", new.state, new.outcome);
                step(new);
            }
            let asked = steps
                .iter()
                .filter(|step| step.operation == "ask_operator")
                .count();
            if asked > stuck.len() {
                let before = steps.iter().rfind(|step| step.outcome != "ok");
                // Boxed: few runs come here, and every look would carry it.
                stuck.push(Box::pin(self.be_operator(&execution.run, before)).await?);
            }
            told = steps.len().max(told);
            if described.status != ExecutionStatus::Running {
                let output = match described.output {
                    Some(output) => serde_json::from_str(&output).unwrap_or(Value::String(output)),
                    None => json!({"error": described.error, "cause": described.cause}),
                };
                let report = self.report(&execution.run).await?;
                return Ok(Ended {
                    status: described.status,
                    output,
                    report,
                    stuck,
                    late,
                });
            }
            if let Some(gate) = self.open_gate(&execution.run).await? {
                let proposal = self.proposal(gate).await?;
                if self.organisation.scenario == Scenario::LateEvidence {
                    Box::pin(self.be_late(&proposal, &mut late)).await?;
                }
                if let Some(answer) = decide(&proposal) {
                    let voted = self.vote(&execution.run, &proposal.gate, &answer).await;
                    // Late evidence voids what is before the approvers; a new package follows.
                    if voted.is_err() && !self.is_void(&execution.run, &proposal.gate).await? {
                        voted?;
                    }
                }
            }
            tokio::time::sleep(GLANCE).await;
        }
        Err(DrillFailed::Endless(last))
    }

    async fn rows<T: serde::de::DeserializeOwned>(
        &self,
        run: &RunId,
        prefix: &str,
    ) -> Result<Vec<T>, DrillFailed> {
        let rows = self.ledger.query(&Key::run_partition(run), prefix).await?;
        Ok(rows.into_iter().map(|(_, row)| row.document).collect())
    }

    /// The boundary that the ledger holds.
    pub(super) async fn boundary(&self, run: &RunId) -> Result<Option<CurrentBoundary>, DrillFailed> {
        let found = self.ledger.get::<CurrentBoundary>(&Key::boundary(run)).await?;
        Ok(found.map(|item| item.document))
    }

    async fn open_gate(&self, run: &RunId) -> Result<Option<GateRecord>, DrillFailed> {
        let gates: Vec<GateRecord> = self.rows(run, Key::GATE_PREFIX).await?;
        Ok(gates
            .into_iter()
            .find(|gate| matches!(gate.state, GateState::Open {})))
    }

    async fn is_void(&self, run: &RunId, gate: &GateRecord) -> Result<bool, DrillFailed> {
        let now = self
            .ledger
            .get::<GateRecord>(&Key::gate(run, &gate.digest))
            .await?;
        Ok(now.is_some_and(|now| matches!(now.document.state, GateState::Void { .. })))
    }

    async fn proposal(&self, gate: GateRecord) -> Result<Proposal, DrillFailed> {
        let package: DecisionPackage = self.artifacts.get_json(&gate.package).await?;
        let selection = self.artifacts.get_json(&package.selection).await?;
        Ok(Proposal {
            inventory: self.artifacts.get_json(&package.inventory).await?,
            gate,
            package,
            selection,
        })
    }

    /// The roster votes, one after the other, until the gate is decided.
    async fn vote(&self, run: &RunId, gate: &GateRecord, answer: &Answer) -> Result<(), DrillFailed> {
        let ballot = Ballot {
            digest: gate.digest.clone(),
            decision: answer.choice,
            rationale: answer.rationale.clone(),
        };
        let approvers = &self.ready.plan.approval.approvers;
        let needed = match answer.choice {
            Choice::Approve => usize::from(self.ready.plan.approval.quorum),
            Choice::Refuse => 1,
        };
        for approver in approvers.iter().take(needed) {
            let Some(identity) = approver.identities.first() else {
                continue;
            };
            self.vote_as(identity, run, &ballot).await?;
        }
        Ok(())
    }

    /// One vote, as this principal.
    ///
    /// The local AWS's function URLs verify nobody, so the gateway's function is invoked with the event that a
    /// function URL with `AWS_IAM` delivers.
    ///
    /// # Errors
    /// What the gateway says when it turns the vote away.
    pub async fn vote_as(&self, identity: &str, run: &RunId, ballot: &Ballot) -> Result<Value, DrillFailed> {
        let voted = approve::vote(&self.gateway_as(identity)?, run, ballot).await;
        voted.map_err(|error| DrillFailed::Vote {
            person: identity.to_owned(),
            answer: error_chain(&error),
        })
    }

    /// Puts the durations of an earlier run into the ledger, which is new with every start of the local AWS.
    ///
    /// # Errors
    /// [`DrillFailed::Ledger`].
    pub async fn remember(&self, durations: &RunDurations) -> Result<(), DrillFailed> {
        let key = Key::durations(&self.ready.plan.workload, &durations.run);
        self.ledger.put_new(&key, durations).await?;
        Ok(())
    }

    async fn report(&self, run: &RunId) -> Result<Option<Report>, DrillFailed> {
        self.report_at(run, "report.json").await
    }

    /// A report by its path within the run.
    pub(super) async fn report_at(&self, run: &RunId, path: &str) -> Result<Option<Report>, DrillFailed> {
        match self.artifacts.find(run, path).await? {
            Some((artifact, _)) => Ok(Some(self.artifacts.get_json(&artifact).await?)),
            None => Ok(None),
        }
    }

    /// The gateway, as this principal.
    pub(super) fn gateway_as(&self, identity: &str) -> Result<Gateway, DrillFailed> {
        let config = self.local.root_of(RECOVERY);
        Gateway::invoking(&config, self.deployed.output("GateFunction")?, identity)
            .map_err(call("reaching the gateway"))
    }

    /// Every artifact of a run by its path.
    ///
    /// # Errors
    /// [`DrillFailed::Artifact`].
    pub async fn artifact_files(&self, run: &RunId) -> Result<BTreeMap<String, Vec<u8>>, DrillFailed> {
        let mut files = BTreeMap::new();
        for path in self.artifacts.paths(run, "").await? {
            if let Some((_, bytes)) = self.artifacts.find(run, &path).await? {
                files.insert(path, bytes);
            }
        }
        Ok(files)
    }
}

/// The emulator refuses what a role's policies do not allow: a drill that succeeds shows that the permissions of
/// `template.yaml` and `infra/accounts` suffice.
const ENFORCE_POLICIES: bool = true;
