//! The outer gate: asking the approval team of AWS Backup for the vault, and reading what it decided.

use std::future::Future;

use blackstart_aws::clients::{Accounts, Assume};
use blackstart_aws::evidence::record_once;
use blackstart_aws::ledger::Versioned;
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records as _;
use blackstart_aws::vault_access;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::enforce::{check_approved, check_executable};
use blackstart_core::approval::gate::GateRecord;
use blackstart_core::approval::outer::{self, Access, OuterRecord, OuterState};
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::evidence::{Event, Kind, PACKAGE, TEAM};
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::approval::TeamDecision;
use jiff::Timestamp;

use crate::error::ApprovalError;
use crate::settle::moved;
use crate::{Artifacts as _, Deps, Ports};

/// The rebuild account, as far as asking for a vault goes.
pub trait VaultAccess: Send + Sync {
    /// Sends the request; a repeat sends no second one.
    fn ask(
        &self,
        plan: &Plan,
        record: &OuterRecord,
        comment: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// What AWS says about it.
    fn look(
        &self,
        plan: &Plan,
        record: &OuterRecord,
    ) -> impl Future<Output = Result<Access, PortError>> + Send;
}

/// The rebuild account itself, through the role that can do nothing else.
#[derive(Debug, Clone)]
pub struct RebuildAccount(pub Accounts);

impl RebuildAccount {
    async fn open(&self, plan: &Plan, run: &RunId) -> Result<vault_access::VaultAccess, PortError> {
        let assume = Assume {
            partition: &plan.partition,
            account: &plan.accounts.rebuild,
            role: &plan.roles.vault_requester,
            run,
            region: &plan.region,
            session_policy: None,
        };
        Ok(vault_access::VaultAccess::new(&self.0.assume(&assume).await?))
    }
}

impl VaultAccess for RebuildAccount {
    async fn ask(&self, plan: &Plan, record: &OuterRecord, comment: &str) -> Result<(), PortError> {
        let access = self.open(plan, &record.run).await?;
        access.ask(&record.gate.vault, &record.vault, comment).await
    }

    async fn look(&self, plan: &Plan, record: &OuterRecord) -> Result<Access, PortError> {
        let access = self.open(plan, &record.run).await?;
        access.look(&record.vault).await
    }
}

/// What both operations are about.
pub(crate) struct Asked<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) plan: &'a ArtifactRef,
    pub(crate) package: &'a ArtifactRef,
    pub(crate) digest: &'a Digest,
}

/// Asks the team. The request is in the ledger before it is sent.
pub(crate) async fn ask<P: Ports>(
    asked: &Asked<'_>,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<TeamDecision, ApprovalError> {
    let (bytes, gate) = approved(asked, deps).await?;
    let package = of_plan(asked, check_executable(&bytes, asked.digest, &gate, now)?)?;
    let plan = Plan::parse(&deps.artifacts.get(asked.plan).await?)?;
    let (Some(guard), Some(rules)) = (package.outer_gate, &plan.approval.outer_gate) else {
        return Err(ApprovalError::NoTeam(asked.digest.clone()));
    };
    let key = Key::outer_gate(asked.run, asked.digest);
    let decide_by = outer::decide_by(rules.wait_minutes, package.execute_by, now);
    let intent = OuterRecord::ask(asked.run, asked.digest, guard, decide_by, now);
    let record = if deps.records.put_new(&key, &intent).await? {
        intent
    } else {
        known(asked, deps).await?.document
    };
    if record.state == (OuterState::Asked {}) {
        let comment = outer::comment(asked.run, asked.digest);
        deps.vaults.ask(&plan, &record, &comment).await?;
        let event = Event::new(Kind::TeamAsked, now)
            .subject(PACKAGE, asked.digest)
            .fact(TEAM, record.gate.team.as_str())
            .fact("source", record.gate.vault.as_str())
            .fact("vault", record.vault.as_str())
            .fact("decide_by", record.decide_by.to_string());
        record_once(&deps.records, asked.run, event).await?;
    }
    Ok(record.decision(now))
}

/// Looks what became of it, and writes it down once.
pub(crate) async fn poll<P: Ports>(
    asked: &Asked<'_>,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<TeamDecision, ApprovalError> {
    let (bytes, gate) = approved(asked, deps).await?;
    let package = of_plan(asked, check_approved(&bytes, asked.digest, &gate)?)?;
    let known = known(asked, deps).await?;
    let mut record = known.document;
    if record.state == (OuterState::Asked {}) {
        let plan = Plan::parse(&deps.artifacts.get(asked.plan).await?)?;
        let access = deps.vaults.look(&plan, &record).await?;
        let moved = moved(&deps.records, asked.run, package.boundary).await?;
        let state = record.state_after(&access, moved, now);
        if state == (OuterState::Asked {}) {
            return Ok(record.decision(now));
        }
        record = OuterRecord {
            approvals: access.session.as_ref().map_or(0, |session| session.approvals),
            session: access.session.map(|session| session.arn),
            state,
            ..record
        };
        let key = Key::outer_gate(asked.run, asked.digest);
        if !deps.records.replace(&key, known.version, &record).await? {
            // Somebody else has decided it; the next look reads how.
            return Err(ApprovalError::Contended(asked.digest.clone()));
        }
    }
    // Whoever wrote the decision down may have died before its evidence was.
    record_once(&deps.records, asked.run, decided(&record, now)).await?;
    Ok(record.decision(now))
}

fn decided(record: &OuterRecord, now: Timestamp) -> Event {
    let state: &str = (&record.state).into();
    let event = Event::new(Kind::TeamDecided, now)
        .subject(PACKAGE, &record.package)
        .fact("state", state)
        .fact("approvals", record.approvals.to_string())
        .fact("session", record.session.as_deref().unwrap_or("none"));
    match &record.state {
        OuterState::Failed { reason, .. } => event.fact("reason", reason.as_str()),
        OuterState::Asked {}
        | OuterState::Open { .. }
        | OuterState::Refused { .. }
        | OuterState::Expired { .. }
        | OuterState::Void { .. } => event,
    }
}

async fn approved<P: Ports>(
    asked: &Asked<'_>,
    deps: &Deps<P>,
) -> Result<(Vec<u8>, GateRecord), ApprovalError> {
    let gate = deps
        .records
        .get::<GateRecord>(&Key::gate(asked.run, asked.digest))
        .await?;
    let gate = gate.ok_or_else(|| ApprovalError::NoGate(asked.digest.clone()))?;
    Ok((deps.artifacts.get(asked.package).await?, gate.document))
}

fn of_plan(asked: &Asked<'_>, package: DecisionPackage) -> Result<DecisionPackage, ApprovalError> {
    if package.run == *asked.run && package.plan == *asked.plan {
        Ok(package)
    } else {
        Err(ApprovalError::OtherRun(package.run))
    }
}

async fn known<P: Ports>(asked: &Asked<'_>, deps: &Deps<P>) -> Result<Versioned<OuterRecord>, ApprovalError> {
    let key = Key::outer_gate(asked.run, asked.digest);
    let record = deps.records.get::<OuterRecord>(&key).await?;
    record.ok_or_else(|| ApprovalError::TeamNotAsked(asked.digest.clone()))
}

#[cfg(test)]
mod tests;
