//! What the state machine asks of the gate.

use blackstart_aws::evidence::record_once;
use blackstart_aws::notices::Notices as _;
use blackstart_aws::records::Records;
use blackstart_aws::tokens::Wait;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::enforce::check_approved;
use blackstart_core::approval::gate::{GateRecord, GateState};
use blackstart_core::approval::package::{Facts, Referenced, Sealed, build};
use blackstart_core::approval::roster::Roster;
use blackstart_core::approval::second;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::cutover::CutoverDocument;
use blackstart_core::evidence::{Event, Kind, TEAM};
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::run::{Mode, RunId, RunRecord, WorkloadName};
use blackstart_core::task::approval::{Expired, Operation, Prepared, TaskToken, TeamDecision};
use blackstart_core::task::cutover::Approved;
use blackstart_core::task::validation::{BranchResult, Branches};
use blackstart_core::task::{StateContext, Task};
use blackstart_core::validation::SelectionDocument;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ApprovalError;
use crate::settle::{decided_event, moved};
use crate::team;
use crate::{Artifacts, Deps, Ports};

/// The answer to one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `prepare`.
    Prepared(Prepared),
    /// To `ask`; Step Functions ignores it and waits for the token.
    Asked {
        /// The digest that is put before the approvers.
        digest: Digest,
    },
    /// To `ask_team` and `poll_team`.
    Team(TeamDecision),
    /// To `expire`.
    Expired(Expired),
}

/// Does one operation of the state machine.
///
/// # Errors
/// [`ApprovalError`].
pub async fn handle<P: Ports>(
    task: Task<Operation>,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Answer, ApprovalError> {
    let run = task.run.ok_or(ApprovalError::NoRun)?;
    match task.input {
        Operation::Prepare {
            plan,
            workload,
            mode,
            selection,
            branches,
        } => {
            let asked = Prepare {
                run: &run,
                plan,
                workload,
                mode,
                selection,
                branches,
            };
            // The state's own time: a retry makes the same package, and the digest stays what it was.
            prepare(asked, deps, task.context.entered)
                .await
                .map(Answer::Prepared)
        }
        Operation::PrepareSecond { approved, cutover } => {
            // The state's own time, as above.
            prepare_second(&run, &approved, &cutover, deps, task.context.entered)
                .await
                .map(Answer::Prepared)
        }
        Operation::Ask {
            plan,
            package,
            digest,
            token,
        } => {
            Box::pin(ask(
                &run,
                &task.context,
                &plan,
                package,
                &digest,
                &token,
                deps,
                now,
            ))
            .await?;
            Ok(Answer::Asked { digest })
        }
        Operation::AskTeam {
            plan,
            package,
            digest,
        } => {
            let asked = team::Asked {
                run: &run,
                plan: &plan,
                package: &package,
                digest: &digest,
            };
            Box::pin(team::ask(&asked, deps, now)).await.map(Answer::Team)
        }
        Operation::PollTeam {
            plan,
            package,
            digest,
        } => {
            let asked = team::Asked {
                run: &run,
                plan: &plan,
                package: &package,
                digest: &digest,
            };
            Box::pin(team::poll(&asked, deps, now)).await.map(Answer::Team)
        }
        Operation::Expire { digest } => expire(&run, &digest, deps, now).await.map(Answer::Expired),
    }
}

struct Prepare<'a> {
    run: &'a RunId,
    plan: ArtifactRef,
    workload: WorkloadName,
    mode: Mode,
    selection: ArtifactRef,
    branches: Branches,
}

async fn prepare<P: Ports>(
    asked: Prepare<'_>,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Prepared, ApprovalError> {
    let Prepare {
        run,
        plan: plan_ref,
        workload,
        mode,
        selection: selection_ref,
        branches,
    } = asked;
    let rebuild_ref = ok("rebuild", branches.rebuild)?.document;
    let inventory_ref = ok("references", branches.references)?.inventory;
    let plan = Plan::parse(&deps.artifacts.get(&plan_ref).await?)?;
    let selection: SelectionDocument = read(&deps.artifacts, "selection", &selection_ref).await?;
    let boundary_ref = selection.boundary.document.clone();
    let boundary = read(&deps.artifacts, "boundary document", &boundary_ref).await?;
    let rebuild = read(&deps.artifacts, "rebuild document", &rebuild_ref).await?;
    let inventory = read(&deps.artifacts, "inventory", &inventory_ref).await?;
    let record = run_record(&deps.records, run).await?;

    let sealed = build(&Facts {
        run,
        workload: &workload,
        mode,
        plan: Referenced {
            document: &plan,
            artifact: &plan_ref,
        },
        selection: Referenced {
            document: &selection,
            artifact: &selection_ref,
        },
        boundary: Referenced {
            document: &boundary,
            artifact: &boundary_ref,
        },
        rebuild: Referenced {
            document: &rebuild,
            artifact: &rebuild_ref,
        },
        inventory: Referenced {
            document: &inventory,
            artifact: &inventory_ref,
        },
        requester: Roster::of(&plan).requester(&record.trigger),
        now,
    })?;
    if moved(&deps.records, run, sealed.package.boundary).await? {
        return Err(ApprovalError::BoundaryMoved);
    }

    let mut event = Event::new(Kind::PackagePrepared, now)
        .subject("package", &sealed.digest)
        .subject("plan", &plan_ref.sha256)
        .subject("selection", &selection_ref.sha256)
        .subject("rebuild", &rebuild_ref.sha256)
        .subject("inventory", &inventory_ref.sha256);
    if let Some(gate) = &sealed.package.outer_gate {
        event = event.fact(TEAM, gate.team.as_str());
    }
    keep(run, sealed, event, deps, now).await
}

async fn prepare_second<P: Ports>(
    run: &RunId,
    approved: &Approved,
    cutover_ref: &ArtifactRef,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Prepared, ApprovalError> {
    let gate = deps
        .records
        .get::<GateRecord>(&Key::gate(run, &approved.digest))
        .await?;
    let gate = gate.ok_or_else(|| ApprovalError::NoGate(approved.digest.clone()))?;
    let bytes = deps.artifacts.get(&approved.package).await?;
    let first = check_approved(&bytes, &approved.digest, &gate.document)?;
    if first.run != *run || first.plan != approved.plan {
        return Err(ApprovalError::OtherRun(first.run));
    }
    let plan = Plan::parse(&deps.artifacts.get(&approved.plan).await?)?;
    let cutover: CutoverDocument = read(&deps.artifacts, "cutover plan", cutover_ref).await?;
    if moved(&deps.records, run, first.boundary).await? {
        return Err(ApprovalError::BoundaryMoved);
    }
    let sealed = second::package(
        &first,
        &approved.digest,
        (&cutover, cutover_ref),
        &plan.approval,
        now,
    )?;
    let event = Event::new(Kind::PackagePrepared, now)
        .subject("package", &sealed.digest)
        .subject("follows", &approved.digest)
        .subject("cutover", &cutover_ref.sha256);
    keep(run, sealed, event, deps, now).await
}

/// Stores a package, and says so in the evidence.
async fn keep<P: Ports>(
    run: &RunId,
    sealed: Sealed,
    event: Event,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Prepared, ApprovalError> {
    let wait_seconds = sealed.package.decide_by.duration_since(now).as_secs();
    let path = format!("decision/{}.json", sealed.digest);
    // The package of a second gate is asked about where the vault is open already.
    let outer_gate = sealed.package.outer_gate.is_some() && sealed.package.finished.is_none();
    let package = deps.artifacts.put(run, &path, sealed.bytes).await?;
    record_once(&deps.records, run, event).await?;
    Ok(Prepared {
        package,
        digest: sealed.digest,
        // Plans that are checked allow a day at most.
        wait_seconds: u32::try_from(wait_seconds).unwrap_or(u32::MAX).max(1),
        outer_gate,
    })
}

#[expect(clippy::too_many_arguments, reason = "the fields of one operation")]
async fn ask<P: Ports>(
    run: &RunId,
    context: &StateContext,
    plan: &ArtifactRef,
    artifact: ArtifactRef,
    digest: &Digest,
    token: &TaskToken,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let bytes = deps.artifacts.get(&artifact).await?;
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(ApprovalError::OtherPackage {
            found,
            wanted: digest.clone(),
        });
    }
    let package: DecisionPackage = parse("decision package", &artifact, &bytes)?;
    if package.run != *run || package.plan != *plan {
        return Err(ApprovalError::OtherRun(package.run));
    }
    let plan = Plan::parse(&deps.artifacts.get(plan).await?)?;
    let record = run_record(&deps.records, run).await?;
    let requester = Roster::of(&plan).requester(&record.trigger).map(str::to_owned);

    // The token first: a vote that finds the gate open must find it.
    let attempt = format!(
        "{} {} {} {}",
        context.execution, context.entered, context.retry_count, context.redrive_count
    );
    deps.tokens()
        .seal(run, Wait::Gate(digest), &attempt, token, now)
        .await?;
    let gate = GateRecord::open(&package, artifact, digest.clone(), requester, now);
    let opened = deps.records.put_new(&Key::gate(run, digest), &gate).await?;
    let event = Event::new(Kind::GateOpened, now)
        .subject("package", digest)
        .fact("quorum", plan.approval.quorum.to_string())
        .fact("decide_by", package.decide_by.to_string());
    record_once(&deps.records, run, event).await?;
    deps.notices
        .send(
            &format!("Decision needed for {run}"),
            &notice(&package, digest, opened, deps.page.as_deref()),
        )
        .await?;
    Ok(())
}

/// What the approvers are sent: an id, a short digest, and where to look. No link in it does anything.
fn notice(package: &DecisionPackage, digest: &Digest, opened: bool, page: Option<&str>) -> String {
    let again = if opened {
        ""
    } else {
        "This package was put before you earlier. If it is decided already, repeat a vote to let the run go on.\n"
    };
    let link = page
        .map(|origin| format!("Look at it first:  {origin}/runs/{}\nor:  ", package.run))
        .unwrap_or_else(|| "Look at it first:  ".to_owned());
    format!(
        "Run {} waits for a decision on package {} until {}.\n{again}\
         {link}blackstart approve {} --show\n\
         Votes need the whole digest, which is shown there.\n",
        package.run,
        digest.short(),
        package.decide_by,
        package.run,
    )
}

async fn expire<P: Ports>(
    run: &RunId,
    digest: &Digest,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Expired, ApprovalError> {
    let key = Key::gate(run, digest);
    for _ in 0..4 {
        let gate = deps.records.get::<GateRecord>(&key).await?;
        let gate = gate.ok_or_else(|| ApprovalError::NoGate(digest.clone()))?;
        if let GateState::Expired { at } = gate.document.state {
            return closed(run, &gate.document, at, deps).await;
        }
        // The wait is over, so an answer that was not taken until now never will be: nothing may run on it later.
        let expired = GateRecord {
            state: GateState::Expired { at: now },
            ..gate.document
        };
        if deps.records.replace(&key, gate.version, &expired).await? {
            return closed(run, &expired, now, deps).await;
        }
    }
    Err(ApprovalError::Contended(digest.clone()))
}

async fn closed<P: Ports>(
    run: &RunId,
    gate: &GateRecord,
    at: Timestamp,
    deps: &Deps<P>,
) -> Result<Expired, ApprovalError> {
    deps.tokens().forget(run, Wait::Gate(&gate.digest)).await?;
    record_once(&deps.records, run, decided_event(gate, at)).await?;
    Ok(Expired { at })
}

fn ok<T>(branch: &'static str, result: BranchResult<T>) -> Result<T, ApprovalError> {
    match result {
        BranchResult::Ok { result } => Ok(result),
        BranchResult::Failed { error, cause } => Err(ApprovalError::BranchFailed { branch, error, cause }),
    }
}

async fn run_record<R: Records>(records: &R, run: &RunId) -> Result<RunRecord, ApprovalError> {
    let record = records.get::<RunRecord>(&Key::run(run)).await?;
    Ok(record
        .ok_or_else(|| ApprovalError::UnknownRun(run.clone()))?
        .document)
}

async fn read<A: Artifacts, T: DeserializeOwned>(
    artifacts: &A,
    what: &'static str,
    artifact: &ArtifactRef,
) -> Result<T, ApprovalError> {
    parse(what, artifact, &artifacts.get(artifact).await?)
}

fn parse<T: DeserializeOwned>(
    what: &'static str,
    artifact: &ArtifactRef,
    bytes: &[u8],
) -> Result<T, ApprovalError> {
    serde_json::from_slice(bytes).map_err(|source| ApprovalError::Malformed {
        what,
        key: artifact.key.clone(),
        source,
    })
}
