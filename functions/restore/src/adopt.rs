//! What restored data needs before it is the workload's: the settings that a restore loses, and a stack that knows it.
//!
//! One look at everything, and for each what can be done without waiting: a repeat goes on where the last one ended.

use std::collections::BTreeSet;

use blackstart_aws::evidence::record_once;
use blackstart_aws::ledger::Versioned;
use blackstart_aws::records::Records;
use blackstart_core::artifact::Digest;
use blackstart_core::evidence::{Event, Kind, PACKAGE};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{FixUp, Resource, Seam};
use blackstart_core::restore::fix_up::{Standing, is_generic, name, order, standing};
use blackstart_core::restore::job::{RestoreJob, RestoreRecord};
use blackstart_core::restore::resource::template_resource;
use blackstart_core::restore::seam::{Step, change_set_name, import, next, prove, witnesses};
use blackstart_core::rotation::hook::HookRequest;
use blackstart_core::run::RunId;
use blackstart_core::task::Progress;
use jiff::Timestamp;

use crate::port::{Adopter, RebuildAccount, Run, Taking};
use crate::{Approved, Deps, RestoreError, note};

/// Everything that one look needs.
struct Look<'a, R, L, A, C> {
    run: &'a RunId,
    digest: &'a Digest,
    deps: &'a Deps<R, L, A>,
    account: C,
    now: Timestamp,
}

/// Steps towards one stack without a pause: a change set is asked for, executed, and its end is looked for.
const STEPS: usize = 3;

/// Looks at every restored resource, and does for each what can be done without waiting.
pub(crate) async fn adopt<R: Run, L: Records, A: RebuildAccount>(
    run: &RunId,
    approved: &Approved<'_>,
    deps: &Deps<R, L, A>,
    now: Timestamp,
) -> Result<Progress, RestoreError> {
    deps.run
        .in_execution(run, approved.package, approved.digest)
        .await?;
    let plan = deps.run.plan(approved.plan).await?;
    let mut record: Versioned<RestoreRecord> = deps
        .records
        .get(&Key::restore(run))
        .await?
        .filter(|found: &Versioned<RestoreRecord>| found.document.package == *approved.digest)
        .ok_or_else(|| RestoreError::NotStarted(run.clone()))?;
    if record.document.verified.is_none() {
        return Err(RestoreError::NotVerified(run.clone()));
    }
    let bare = plan
        .resources
        .iter()
        .all(|resource| resource.fix_ups.is_empty() && resource.seam.is_none());
    if bare {
        return Ok(Progress::Done);
    }
    let look = Look {
        run,
        digest: approved.digest,
        deps,
        account: deps.account.open_for_adoption(&plan, run).await?,
        now,
    };
    let mut progress = Progress::Done;
    let mut problems = Vec::new();
    let mut at_work = BTreeSet::new();
    for resource in &plan.resources {
        let Some(job) = record.document.jobs.get(&resource.id).cloned() else {
            continue;
        };
        let mut settled = true;
        for fix_up in order(&resource.fix_ups) {
            if let FixUp::Hook { name, function, .. } = fix_up {
                record = look.ask_hook(resource, name, function, record).await?;
            } else if !look.put_back(resource, &job, fix_up).await? {
                // A resource takes one change at a time.
                settled = false;
                break;
            }
        }
        if let (Some(seam), None) = (&resource.seam, &job.adopted) {
            // Executing a change set deletes every other one of the stack: it takes one resource after the other.
            let is_next = at_work.insert(seam.stack());
            if settled && is_next {
                match look.join(resource, &job, seam).await? {
                    Joined::Proven(proof) => {
                        record =
                            note(run, record, &resource.id, deps, |job| job.adopted = Some(proof)).await?;
                        at_work.remove(seam.stack());
                    }
                    Joined::NotYet => settled = false,
                    Joined::Not(why) => {
                        problems.extend(why.into_iter().map(|why| format!("`{}`: {why}", resource.id)))
                    }
                }
            } else {
                settled = false;
            }
        }
        if !settled {
            progress = Progress::Running;
        }
    }
    if problems.is_empty() {
        Ok(progress)
    } else {
        Err(RestoreError::NotAdopted(problems))
    }
}

/// What came of a step towards a stack.
enum Joined {
    Proven(String),
    NotYet,
    Not(Vec<String>),
}

impl<R: Run, L: Records, A: RebuildAccount, C: Adopter> Look<'_, R, L, A, C> {
    fn event(&self, kind: Kind, resource: &Resource) -> Event {
        Event::new(kind, self.now)
            .subject(PACKAGE, self.digest)
            .fact("resource", resource.id.as_str())
    }

    /// Puts into the evidence what is about to be asked for: who dies after the request leaves a trace of it.
    async fn ask(&self, resource: &Resource, what: &str) -> Result<(), RestoreError> {
        let event = self.event(Kind::AdoptionRequested, resource).fact("what", what);
        record_once(&self.deps.records, self.run, event).await?;
        Ok(())
    }

    /// Asks for a setting that is missing. `true`: it was read back.
    async fn put_back(
        &self,
        resource: &Resource,
        job: &RestoreJob,
        fix_up: &FixUp,
    ) -> Result<bool, RestoreError> {
        if matches!(fix_up, FixUp::Without { .. }) {
            return Ok(true);
        }
        let what = name(fix_up, resource.resource_type);
        let settings = self
            .account
            .settings(resource, job.made(), is_generic(fix_up))
            .await?;
        let mut now = standing(fix_up, &settings);
        if now == Standing::Open {
            self.ask(resource, &what).await?;
            self.account.put_back(resource, job.made(), fix_up).await?;
            tracing::info!(resource = %resource.id, setting = %what, "setting asked for");
            // Many settings are there at once.
            let settings = self
                .account
                .settings(resource, job.made(), is_generic(fix_up))
                .await?;
            now = standing(fix_up, &settings);
        }
        if now != Standing::Done {
            return Ok(false);
        }
        let event = self
            .event(Kind::SettingRestored, resource)
            .fact("setting", what.as_str());
        record_once(&self.deps.records, self.run, event).await?;
        Ok(true)
    }

    /// Asks a hook, once: its answer is noted.
    async fn ask_hook(
        &self,
        resource: &Resource,
        name: &str,
        function: &str,
        record: Versioned<RestoreRecord>,
    ) -> Result<Versioned<RestoreRecord>, RestoreError> {
        let asked = record
            .document
            .jobs
            .get(&resource.id)
            .is_some_and(|job| job.hooks.contains_key(name));
        if asked {
            return Ok(record);
        }
        let request = HookRequest {
            operation: "fix_up",
            run: self.run.to_string(),
            credential: name.to_owned(),
            token: token(self.run, resource, name),
        };
        self.ask(resource, name).await?;
        let answer = self.account.ask_hook(function, &request).await?;
        let event = self
            .event(Kind::SettingRestored, resource)
            .fact("setting", name)
            .fact("version", answer.version.as_str());
        record_once(&self.deps.records, self.run, event).await?;
        note(self.run, record, &resource.id, self.deps, |job| {
            job.hooks.insert(name.to_owned(), answer.version);
        })
        .await
    }

    /// What can be done without waiting towards a stack that has the resource.
    async fn join(&self, resource: &Resource, job: &RestoreJob, seam: &Seam) -> Result<Joined, RestoreError> {
        for _ in 0..STEPS {
            if let Some(joined) = self.step(resource, job, seam).await? {
                return Ok(joined);
            }
        }
        Ok(Joined::NotYet)
    }

    /// The next step. `None`: it was done, and there may be another one.
    async fn step(
        &self,
        resource: &Resource,
        job: &RestoreJob,
        seam: &Seam,
    ) -> Result<Option<Joined>, RestoreError> {
        let Some((_, id)) = template_resource(resource.resource_type, job.made()) else {
            return Ok(Some(Joined::Not(vec![format!(
                "`{}` is no resource of a template",
                job.made()
            )])));
        };
        let set_name = change_set_name(self.run, &resource.id);
        let account = &self.account;
        let stack = account.stack(seam.stack()).await?;
        let (resources, set) = if stack.is_some() {
            (
                account.stack_resources(seam.stack()).await?,
                account.change_set(seam.stack(), &set_name).await?,
            )
        } else {
            (Vec::new(), None)
        };
        match next(seam, id, stack.as_ref(), &resources, set.as_ref()) {
            Step::Wait => Ok(Some(Joined::NotYet)),
            Step::Stop(why) => Ok(Some(Joined::Not(vec![why]))),
            Step::Propose => {
                let template = account.stack_template(seam.stack()).await?;
                let taking = match seam {
                    Seam::Parameter { parameter, .. } => Taking::Parameter {
                        name: parameter.clone(),
                        value: id.to_owned(),
                    },
                    Seam::Import {
                        logical_id,
                        properties,
                        ..
                    } => match import(resource.resource_type, id, logical_id, properties, &template) {
                        Ok(import) => Taking::Import(import),
                        Err(why) => return Ok(Some(Joined::Not(vec![why]))),
                    },
                };
                let parameters = stack.map(|stack| stack.parameters).unwrap_or_default();
                self.ask(resource, &format!("change set of {}", seam.stack()))
                    .await?;
                account
                    .propose(seam.stack(), &set_name, &parameters, &taking)
                    .await?;
                tracing::info!(resource = %resource.id, stack = seam.stack(), "change set asked for");
                Ok(None)
            }
            Step::Execute(set) => {
                self.ask(resource, &format!("execution in {}", seam.stack()))
                    .await?;
                account
                    .execute(seam.stack(), &set, &token(self.run, resource, "execute"))
                    .await?;
                tracing::info!(resource = %resource.id, stack = seam.stack(), "change set executed");
                Ok(None)
            }
            Step::Prove => {
                let template = account.stack_template(seam.stack()).await?;
                let mut drifts = Vec::new();
                for witness in witnesses(seam, &template) {
                    drifts.push(account.drift(seam.stack(), &witness).await?);
                }
                match prove(seam, &drifts) {
                    Ok(proof) => {
                        let event = self
                            .event(Kind::ResourceAdopted, resource)
                            .fact("stack", seam.stack())
                            .fact("proof", proof.as_str());
                        record_once(&self.deps.records, self.run, event).await?;
                        Ok(Some(Joined::Proven(proof)))
                    }
                    Err(why) => Ok(Some(Joined::Not(why))),
                }
            }
        }
    }
}

fn token(run: &RunId, resource: &Resource, what: &str) -> String {
    Digest::of(format!("{run}\n{}\n{what}\nadopt", resource.id).as_bytes())
        .as_str()
        .to_owned()
}
