//! A small organisation in the local AWS: six accounts around one that was attacked.

pub mod partners;
pub mod plan;
pub mod siblings;
pub mod workload;

use std::collections::BTreeMap;
use std::path::Path;

use aws_credential_types::Credentials;
use aws_sdk_cloudformation::types::{Capability, Parameter, StackStatus};
use aws_sdk_route53::types as dns;
use blackstart_core::plan::Plan;

use crate::accounts::{LOG_ARCHIVE, OLD, REBUILD, RECOVERY, REGION, SIBLINGS, VALIDATION};
use crate::deploy::{Deployed, STACK};
use crate::project::Project;
use crate::standin::TeamAnswer;
use crate::step::{Doing, StepFailed};
use crate::{LocalAws, leaks};
use siblings::Sibling;

/// The bucket to which CloudTrail delivers.
pub const LOG_BUCKET: &str = "org-logs-444444444444";
/// Where in it the old account's logs lie.
pub const LOG_PREFIX: &str = "AWSLogs/218007301253/CloudTrail/";
/// The people on the plan's roster: IAM users of the recovery account.
pub const PEOPLE: [&str; 2] = ["ada", "grace"];
/// Seconds that a resolver may keep the record of the old environment: lowered well before, as it should be.
const OLD_RECORD_LIVES: i64 = 5;
/// What every role in the other accounts demands. A secret between two accounts, were this not a laptop.
pub const EXTERNAL_ID: &str = "local-drill-external-id";

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scenario {
    /// The attack as it was recorded; there is a clean set, and the approvers approve it.
    #[default]
    Incident,
    /// The same, and an approver refuses.
    Refused,
    /// Every recovery point is tainted.
    NoCleanPoint,
    /// The same as [`Self::Incident`], with a cutover function that is killed between a write and its journal entry.
    Crash,
    /// The same as [`Self::Incident`], but nobody shared the vault with the rebuild account: a person has to.
    Stuck,
    /// The plan asks for a second gate on the finished cutover plan.
    SecondGate,
    /// The plan gives a minute to decide.
    Expired,
    /// An approval team guards the vault, and opens it.
    ApprovalTeam,
    /// An approval team guards the vault, and refuses.
    TeamRefused,
    /// Two findings arrive while a package is before the approvers, each about something earlier.
    LateEvidence,
}

impl Scenario {
    /// What the approval team does, where one guards the vault.
    #[must_use]
    pub fn team(self) -> Option<TeamAnswer> {
        match self {
            Self::ApprovalTeam => Some(TeamAnswer::Approves),
            Self::TeamRefused => Some(TeamAnswer::Rejects),
            Self::Incident
            | Self::Refused
            | Self::NoCleanPoint
            | Self::Crash
            | Self::Stuck
            | Self::SecondGate
            | Self::Expired
            | Self::LateEvidence => None,
        }
    }
}

/// The organisation, ready for Blackstart to be deployed into its recovery account.
#[derive(Debug)]
pub struct Organisation {
    /// What is played.
    pub scenario: Scenario,
    /// Id of the hosted zone.
    pub zone: String,
    /// The siblings and their documents.
    pub siblings: Vec<Sibling>,
}

/// What is known once Blackstart is deployed and the plan lies in its bucket.
#[derive(Debug)]
pub struct Ready {
    /// The plan.
    pub plan: Plan,
    /// The roster's people with keys of their own, by name.
    pub people: BTreeMap<String, Credentials>,
}

impl Organisation {
    /// Makes accounts, roles, logs, backups, references and DNS.
    ///
    /// # Errors
    /// [`StepFailed`] naming the step.
    pub async fn establish(
        local: &LocalAws,
        project: &Project,
        scenario: Scenario,
    ) -> Result<Self, StepFailed> {
        deliver_logs(local, &project.root().join("tests/data/invictus-ir/CloudTrail")).await?;
        make_roles(local, project).await?;
        let control = local.standin().control();
        control.add_vault(RECOVERY, workload::VAULT, [VALIDATION]);
        let organisation = Self {
            scenario,
            zone: make_zone(local).await?,
            siblings: siblings::establish(local).await?,
        };
        match scenario.team() {
            // The rebuild account sees the vault once the team has opened it.
            Some(answer) => control.guard_vault(RECOVERY, workload::VAULT, plan::TEAM, answer),
            None if scenario == Scenario::Stuck => {}
            None => organisation.share_vault(local),
        }
        for point in workload::recovery_points(scenario)? {
            control.add_recovery_point(RECOVERY, point);
        }
        Ok(organisation)
    }

    /// Shares the vault with the rebuild account.
    pub fn share_vault(&self, local: &LocalAws) {
        local
            .standin()
            .control()
            .add_vault(RECOVERY, workload::VAULT, [REBUILD]);
    }

    /// Values of the template's parameters for this organisation.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let role = |account: &str, name: &str| format!("arn:aws:iam::{account}:role/{name}");
        let in_siblings = |name: &str| SIBLINGS.map(|account| role(account, name)).join(",");
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x86_64"
        };
        vec![
            ("Architecture", architecture.to_owned()),
            ("Alarms", "off".to_owned()),
            ("ExternalId", EXTERNAL_ID.to_owned()),
            ("LogReaderRoleArns", role(LOG_ARCHIVE, "BlackstartLogReader")),
            ("ValidationRoleArns", role(VALIDATION, "BlackstartValidation")),
            ("BackupEventRoleArns", role(VALIDATION, "BlackstartBackupEvents")),
            ("RebuildRoleArns", role(REBUILD, "BlackstartRebuild")),
            (
                "VaultRequesterRoleArns",
                role(REBUILD, "BlackstartVaultRequester"),
            ),
            (
                "ReferenceReaderRoleArns",
                in_siblings("BlackstartReferenceReader"),
            ),
            (
                "ReferenceWriterRoleArns",
                in_siblings("BlackstartReferenceWriter"),
            ),
            (
                "HostedZoneArns",
                format!("arn:aws:route53:::hostedzone/{}", self.zone),
            ),
        ]
    }

    /// Puts plan and templates into the deployed plan bucket, and gives the approvers their permission.
    ///
    /// # Errors
    /// [`StepFailed`] naming the step.
    pub async fn publish(&self, local: &LocalAws, deployed: &Deployed) -> Result<Ready, StepFailed> {
        let bucket = deployed.output("PlanBucket")?;
        let (plan, text) =
            plan::plan(bucket, &self.zone, local.edge().secure(), self.scenario).doing("writing the plan")?;
        let s3 = aws_sdk_s3::Client::new(&local.root_of(RECOVERY));
        let documents = plan::TEMPLATES
            .into_iter()
            .chain([plan::RULES, plan::KNOWN_GOOD])
            .map(|(key, text)| (key, text.as_bytes().to_vec()));
        for (key, body) in documents.chain([(plan::PLAN_KEY, text)]) {
            s3.put_object()
                .bucket(bucket)
                .key(key)
                .body(body.into())
                .send()
                .await
                .doing(format!("uploading {key}"))?;
        }
        leaks::keep_notices(local, deployed).await?;
        Ok(Ready {
            plan,
            people: make_people(local, deployed.output("ApproverPolicy")?).await?,
        })
    }
}

/// Uploads the recorded CloudTrail files as CloudTrail would have delivered them.
async fn deliver_logs(local: &LocalAws, folder: &Path) -> Result<(), StepFailed> {
    let s3 = aws_sdk_s3::Client::new(&local.root_of(LOG_ARCHIVE));
    s3.create_bucket()
        .bucket(LOG_BUCKET)
        .send()
        .await
        .doing("making the log bucket")?;
    let reading = || format!("reading {}", folder.display());
    let mut files = std::fs::read_dir(folder)
        .doing(reading())?
        .collect::<Result<Vec<_>, _>>()
        .doing(reading())?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let bytes = std::fs::read(file.path()).doing(format!("reading {name}"))?;
        s3.put_object()
            .bucket(LOG_BUCKET)
            .key(format!("{LOG_PREFIX}{REGION}/2023/07/10/{name}.gz"))
            .body(workload::gzip(&bytes)?.into())
            .send()
            .await
            .doing(format!("delivering {name}"))?;
    }
    Ok(())
}

/// Creates the stacks of `infra/accounts` in the accounts that they are for.
async fn make_roles(local: &LocalAws, project: &Project) -> Result<(), StepFailed> {
    let vault = format!(
        "arn:aws:backup:{REGION}:{RECOVERY}:backup-vault:{}",
        workload::VAULT
    );
    let bus = format!("arn:aws:events:{REGION}:{RECOVERY}:event-bus/{STACK}-backup");
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess".to_owned();
    let stacks = vec![
        (
            LOG_ARCHIVE,
            "log-archive",
            vec![("LogBucket", LOG_BUCKET.to_owned())],
        ),
        (
            VALIDATION,
            "validation",
            vec![("VaultArn", vault), ("EventBusArn", bus)],
        ),
        (
            REBUILD,
            "rebuild",
            vec![("StackExecutionPolicyArn", administrator)],
        ),
    ];
    for (account, file, own) in stacks {
        make_role(local, project, account, file, own).await?;
    }
    for account in SIBLINGS {
        make_role(local, project, account, "sibling", Vec::new()).await?;
    }
    Ok(())
}

/// Creates the stack of one file of `infra/accounts` in an account, with the parameters that are its own.
///
/// # Errors
/// [`StepFailed`] when the stack is not completed.
pub async fn make_role(
    local: &LocalAws,
    project: &Project,
    account: &str,
    file: &str,
    own: Vec<(&'static str, String)>,
) -> Result<(), StepFailed> {
    let path = project.root().join("infra/accounts").join(format!("{file}.yaml"));
    let template = std::fs::read_to_string(&path).doing(format!("reading {}", path.display()))?;
    let shared = [
        ("RecoveryAccount", RECOVERY.to_owned()),
        ("ExternalId", EXTERNAL_ID.to_owned()),
    ];
    make_stack(local, account, file, template, shared.into_iter().chain(own)).await
}

async fn make_stack(
    local: &LocalAws,
    account: &str,
    name: &str,
    template: String,
    parameters: impl Iterator<Item = (&'static str, String)>,
) -> Result<(), StepFailed> {
    let cloudformation = aws_sdk_cloudformation::Client::new(&local.root_of(account));
    let stack = format!("blackstart-{name}");
    let step = || format!("making stack {stack} in {account}");
    let parameters = parameters
        .map(|(key, value)| {
            Parameter::builder()
                .parameter_key(key)
                .parameter_value(value)
                .build()
        })
        .collect();
    cloudformation
        .create_stack()
        .stack_name(&stack)
        .template_body(template)
        .set_parameters(Some(parameters))
        .capabilities(Capability::CapabilityNamedIam)
        .send()
        .await
        .doing(step())?;
    for _ in 0..600 {
        let described = cloudformation
            .describe_stacks()
            .stack_name(&stack)
            .send()
            .await
            .doing(step())?;
        let found = described
            .stacks
            .unwrap_or_default()
            .into_iter()
            .next()
            .doing(step())?;
        match found.stack_status {
            Some(StackStatus::CreateComplete) => return Ok(()),
            Some(StackStatus::CreateInProgress) | None => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            Some(status) => {
                let reason = found.stack_status_reason.unwrap_or_default();
                return Err(StepFailed::new(step(), format!("{status}: {reason}")));
            }
        }
    }
    Err(StepFailed::new(step(), "it did not complete"))
}

/// The zone with the old environment's record among others.
///
/// # Errors
/// [`StepFailed`] when the emulator refuses it.
pub async fn make_zone(local: &LocalAws) -> Result<String, StepFailed> {
    let route53 = aws_sdk_route53::Client::new(&local.root_of(RECOVERY));
    let zone = route53
        .create_hosted_zone()
        .name("example.com.")
        .caller_reference("blackstart")
        .send()
        .await
        .doing("making the hosted zone")?
        .hosted_zone
        .doing("making the hosted zone")?
        .id;
    let mut batch = dns::ChangeBatch::builder();
    for (name, kind, value) in [
        (plan::NAME, dns::RrType::A, plan::OLD_ADDRESS),
        ("www.example.com.", dns::RrType::A, "203.0.113.80"),
        ("status.example.com.", dns::RrType::A, "203.0.113.81"),
        ("example.com.", dns::RrType::Mx, "10 mail.example.com."),
        ("mail.example.com.", dns::RrType::A, "203.0.113.25"),
        ("example.com.", dns::RrType::Txt, "\"v=spf1 mx -all\""),
    ] {
        let record = dns::ResourceRecord::builder()
            .value(value)
            .build()
            .doing("writing a record")?;
        let set = dns::ResourceRecordSet::builder()
            .name(name)
            .r#type(kind)
            .ttl(if name == plan::NAME { OLD_RECORD_LIVES } else { 300 })
            .resource_records(record)
            .build()
            .doing("writing a record")?;
        batch = batch.changes(
            dns::Change::builder()
                .action(dns::ChangeAction::Create)
                .resource_record_set(set)
                .build()
                .doing("writing a record")?,
        );
    }
    route53
        .change_resource_record_sets()
        .hosted_zone_id(&zone)
        .change_batch(batch.build().doing("writing the records")?)
        .send()
        .await
        .doing("writing the records")?;
    Ok(zone.trim_start_matches("/hostedzone/").to_owned())
}

/// Makes the roster's IAM users and a key for each.
async fn make_people(local: &LocalAws, policy: &str) -> Result<BTreeMap<String, Credentials>, StepFailed> {
    let iam = aws_sdk_iam::Client::new(&local.root_of(RECOVERY));
    let mut people = BTreeMap::new();
    for name in PEOPLE {
        let step = || format!("making user {name}");
        iam.create_user().user_name(name).send().await.doing(step())?;
        iam.attach_user_policy()
            .user_name(name)
            .policy_arn(policy)
            .send()
            .await
            .doing(step())?;
        let key = iam
            .create_access_key()
            .user_name(name)
            .send()
            .await
            .doing(step())?
            .access_key
            .doing(step())?;
        people.insert(
            name.to_owned(),
            Credentials::new(key.access_key_id, key.secret_access_key, None, None, "roster"),
        );
    }
    Ok(people)
}

/// Whether a document names the old account anywhere.
#[must_use]
pub fn names_old(text: &str) -> bool {
    text.contains(OLD)
}
