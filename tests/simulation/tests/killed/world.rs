//! Six siblings in the local AWS, an approved cutover of every reference in them, and an execution of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types as table;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::documents_write::DocumentSession;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::route53::Route53;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::gate::{GateRecord, GateState};
use blackstart_core::artifact::{ArtifactRef, canonical_json};
use blackstart_core::dns::{RecordSet, TrafficChange};
use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::items::ItemsRecord;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, Shift};
use blackstart_core::references::{InventoryDocument, ReferenceDocument, canonical_digest_of, same_document};
use blackstart_core::run::{AccountId, RunId, WorkloadName};
use blackstart_core::task::cutover::{Approved, Operation};
use blackstart_core::task::{Failure, StateContext, Task};
use blackstart_core::timeline::CurrentBoundary;
use blackstart_local::accounts::{OLD, REBUILD, RECOVERY, REGION};
use blackstart_local::organisation::plan::{HOLDING_ADDRESS, NAME, NEW_ADDRESS};
use blackstart_local::organisation::{self, EXTERNAL_ID, Scenario, plan, siblings};
use blackstart_local::project::Project;
use blackstart_local::{LocalAws, WEB_BUCKET};
use cutover::aws::Aws;
use cutover::config::Config;
use cutover::machine::{Failed, Tasks};
use cutover::{Answer, Deps, handle, production};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::killer::Killer;

/// Accounts that hold references to the old one.
pub(crate) const SIBLINGS: [&str; 6] = [
    "555555555555",
    "666666666666",
    "666666666667",
    "777777777777",
    "777777777778",
    "888888888888",
];
/// The management account of the organisation, and the policy in it that denies everything.
const MANAGEMENT: &str = "999999999999";
const QUARANTINE: &str = "p-quarantine";
const TABLE: &str = "blackstart-ledger";
const BUCKET: &str = "blackstart-artifacts-111111111111";
/// How often the definition retries what certainly had no effect.
const RETRIES: u32 = 6;

/// Where single services are, as `AWS_ENDPOINT_URL_<SERVICE>` would say.
#[derive(Debug, Clone)]
struct Endpoints(BTreeMap<String, String>);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_ascii_uppercase().replace(' ', "_");
        self.0.get(&format!("{}_{service}", key.env())).cloned()
    }
}

/// The local AWS with everything in it that a cutover needs.
pub(crate) struct World {
    local: LocalAws,
    endpoints: Endpoints,
    zone: String,
    /// The plan that swaps, and the one that contains the old account and expands.
    plans: [Plan; 2],
    documents: Vec<ReferenceDocument>,
    records: Vec<RecordSet>,
}

/// An approved cutover.
pub(crate) struct Run {
    id: RunId,
    approved: Approved,
}

impl World {
    pub(crate) async fn start() -> Self {
        let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let local = LocalAws::start(&project, false).await.unwrap();
        let endpoints = Endpoints(local.environment().into_iter().collect());
        let zone = organisation::make_zone(&local).await.unwrap();
        let (mut plan, _) = plan::plan(BUCKET, &zone, local.edge().secure(), Scenario::Incident).unwrap();
        plan.accounts.siblings = SIBLINGS.map(account).to_vec();
        plan.references.waivers.clear();
        let mut contained = plan.clone();
        // Where nobody is contained, traffic moves share by share.
        plan.cutover.shift = Shift::Weighted {
            shares: vec![1, 5, 25, 100],
            hold_seconds: 60,
        };
        contained.cutover.contain = serde_json::from_value(json!({
            "account": MANAGEMENT, "policies": [{"policy": QUARANTINE, "target": OLD}],
        }))
        .unwrap();
        let denial = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
        local
            .standin()
            .control()
            .add_policy(QUARANTINE, "SERVICE_CONTROL_POLICY", &denial.to_string());
        let organisation = vec![
            (
                "PolicyArns",
                format!("arn:aws:organizations::{MANAGEMENT}:policy/o-1/service_control_policy/{QUARANTINE}"),
            ),
            (
                "TargetArns",
                format!("arn:aws:organizations::{MANAGEMENT}:account/o-1/{OLD}"),
            ),
        ];
        organisation::make_role(&local, &project, MANAGEMENT, "management", organisation)
            .await
            .unwrap();
        let administrator = "arn:aws:iam::aws:policy/AdministratorAccess".to_owned();
        let own = vec![("StackExecutionPolicyArn", administrator)];
        organisation::make_role(&local, &project, REBUILD, "rebuild", own)
            .await
            .unwrap();
        let rebuild = aws_sdk_s3::Client::new(&local.root_of(REBUILD));
        rebuild.create_bucket().bucket(WEB_BUCKET).send().await.unwrap();
        let hub = local.root_of(RECOVERY);
        let artifacts = aws_sdk_s3::Client::new(&hub);
        artifacts.create_bucket().bucket(BUCKET).send().await.unwrap();
        make_ledger(&hub).await;
        // Where the snapshots of AWS Config are delivered to.
        let archive = aws_sdk_s3::Client::new(&local.root_of(blackstart_local::accounts::LOG_ARCHIVE));
        archive
            .create_bucket()
            .bucket(organisation::LOG_BUCKET)
            .send()
            .await
            .unwrap();

        let mut world = Self {
            endpoints,
            plans: [plan, contained],
            documents: Vec::new(),
            records: Vec::new(),
            zone,
            local,
        };
        for id in SIBLINGS {
            organisation::make_role(&world.local, &project, id, "sibling", Vec::new())
                .await
                .unwrap();
            let sibling = siblings::establish_in(&world.local, id).await.unwrap();
            for (kind, arn) in sibling.places() {
                let document = world.reference(id, kind, &arn).await;
                world.documents.push(document);
            }
        }
        world.records = world.live_records().await;
        world
    }

    pub(crate) async fn stop(self) {
        self.local.stop().await;
    }

    pub(crate) fn references(&self) -> usize {
        self.documents.len()
    }

    /// A client's configuration as the root of an account, for the services of the stand-in too.
    fn root_of(&self, account: &str) -> SdkConfig {
        let root = self.local.root_of(account).to_builder();
        root.service_config(self.endpoints.clone()).build()
    }

    async fn reference(&self, account: &str, kind: &str, arn: &str) -> ReferenceDocument {
        let region = if matches!(kind, "role_trust") { "" } else { REGION };
        let slot = json!({"account": account, "region": region, "kind": kind, "arn": arn});
        let mut document: ReferenceDocument = serde_json::from_value(json!({
            "slot": slot, "text": "", "before": canonical_digest_of(""), "tokens": 1, "handled": 1, "unhandled": [],
        }))
        .unwrap();
        document.text = self.live(&document).await;
        assert!(document.text.contains(OLD), "{arn}: {}", document.text);
        document.before = canonical_digest_of(&document.text);
        document
    }

    async fn live(&self, document: &ReferenceDocument) -> String {
        let slot = document.slot.clone();
        let session = DocumentSession::new(&self.root_of(slot.account.as_str()), slot);
        session
            .read()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", document.slot.arn))
    }

    async fn live_records(&self) -> Vec<RecordSet> {
        let route53 = Route53::new(&self.root_of(RECOVERY));
        let mut records = route53.records(&self.zone).await.unwrap().records;
        records.retain(|set| set.name == NAME);
        records
    }

    /// Puts everything back as it was, as the root of each account. So much time has passed that leases of whoever died
    /// have run out: what comes next is another execution.
    pub(crate) async fn reset(&self) {
        let ledger = Ledger::new(&self.root_of(RECOVERY), TABLE.to_owned());
        let others = [
            format!("zone/{}/prepare", self.zone),
            format!("zone/{}/records", self.zone),
            format!("policy/{QUARANTINE}/{OLD}"),
        ];
        let documents = self.documents.iter().map(|document| document.slot.arn.clone());
        for name in documents.chain(others) {
            let key = Key::lease(&name);
            if let Some(held) = ledger.get::<Value>(&key).await.unwrap() {
                assert!(ledger.remove(&key, held.version).await.unwrap());
            }
        }
        for document in &self.documents {
            if !same_document(&self.live(document).await, &document.text) {
                let slot = document.slot.clone();
                let session = DocumentSession::new(&self.root_of(slot.account.as_str()), slot);
                session.write(&document.text).await.unwrap();
            }
        }
        self.local.standin().control().detach(QUARANTINE);
        let change = TrafficChange {
            zone: self.zone.clone(),
            before: self.live_records().await,
            after: self.records.clone(),
        };
        if change.before != change.after {
            let route53 = Route53::new(&self.root_of(RECOVERY));
            route53.apply(&change, "as it was").await.unwrap();
        }
        self.assert_clean_slate().await;
    }

    pub(crate) async fn assert_clean_slate(&self) {
        for document in &self.documents {
            let live = self.live(document).await;
            assert!(
                same_document(&live, &document.text),
                "{}: {live}",
                document.slot.arn
            );
        }
        assert_eq!(self.live_records().await, self.records);
    }

    /// Every session in another account was that of this run, short, under the deployment's external id; and one in
    /// a sibling could write one approved document and nothing else.
    pub(crate) fn assert_sessions(&self, run: &Run, sessions: &[BTreeMap<String, String>]) {
        let approved: BTreeSet<(&str, &str)> = self
            .documents
            .iter()
            .map(|document| (document.slot.account.as_str(), document.slot.arn.as_str()))
            .collect();
        let mut written = BTreeSet::new();
        for session in sessions {
            let field = |name: &str| session.get(name).map(String::as_str);
            assert_eq!(field("DurationSeconds"), Some("900"), "{session:?}");
            assert_eq!(field("SourceIdentity"), Some(run.id.as_str()), "{session:?}");
            assert_eq!(field("ExternalId"), Some(EXTERNAL_ID), "{session:?}");
            let policy: Value = serde_json::from_str(field("Policy").unwrap()).unwrap();
            let role = field("RoleArn").unwrap();
            let Some((account, "BlackstartReferenceWriter")) = role
                .strip_prefix("arn:aws:iam::")
                .and_then(|role| role.split_once(":role/"))
            else {
                assert!(!SIBLINGS.iter().any(|sibling| role.contains(sibling)), "{role}");
                continue;
            };
            let statements = policy.get("Statement").and_then(Value::as_array).unwrap();
            let [statement] = statements.as_slice() else {
                panic!("{policy}");
            };
            let resource = statement.get("Resource").and_then(Value::as_str).unwrap();
            let (_, arn) = approved
                .iter()
                .find(|(holder, arn)| *holder == account && *arn == resource)
                .unwrap_or_else(|| panic!("`{resource}` in {account} was not approved"));
            written.insert(*arn);
        }
        assert_eq!(
            written.len(),
            approved.len(),
            "every document was written in a session of its own"
        );
    }

    /// Whether the policy is attached to the old account.
    pub(crate) fn contained(&self) -> bool {
        let targets = self.local.standin().control().targets_of(QUARANTINE);
        targets.contains(OLD)
    }

    pub(crate) async fn assert_recovered(&self) {
        for document in &self.documents {
            let live = self.live(document).await;
            let wanted = document.text.replace(OLD, REBUILD);
            assert!(
                same_document(&live, &wanted),
                "{}: {live}\ninstead of\n{wanted}",
                document.slot.arn
            );
        }
        let records = self.live_records().await;
        let mut served: Vec<(&str, &str, bool)> = records
            .iter()
            .map(|set| {
                (
                    set.failover.as_deref().unwrap_or_default(),
                    set.values.first().map_or("", String::as_str),
                    set.health_check.is_some(),
                )
            })
            .collect();
        served.sort_unstable();
        assert_eq!(
            served,
            [
                ("PRIMARY", NEW_ADDRESS, true),
                ("SECONDARY", HOLDING_ADDRESS, false)
            ]
        );
    }

    async fn store(&self, run: &RunId, path: &str, bytes: Vec<u8>) -> ArtifactRef {
        ArtifactStore::new(&self.root_of(RECOVERY), BUCKET.to_owned())
            .put(run, path, "application/json", bytes)
            .await
            .unwrap()
    }

    /// Puts a package of exactly these documents through the gate.
    pub(crate) async fn approve(&self, seed: u64, expand: bool) -> Run {
        let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
        let id = RunId::of_execution(&workload, &format!("seed {seed}"));
        let inventory = InventoryDocument {
            documents_read: self.documents.len() as u64,
            documents: self.documents.clone(),
            ..InventoryDocument::empty()
        };
        let [swapping, containing] = &self.plans;
        let plan = if expand { containing } else { swapping };
        let names = plan.cutover.names.clone();
        let shift = plan.cutover.shift.clone();
        let plan = self
            .store(&id, "plan.json", serde_json::to_vec(plan).unwrap())
            .await;
        let inventory = self
            .store(&id, "inventory.json", canonical_json(&inventory).unwrap())
            .await;
        let now = Timestamp::now();
        let later = now + SignedDuration::from_hours(12);
        let references: Vec<_> = self
            .documents
            .iter()
            .map(|document| json!({"slot": document.slot, "before": document.before}))
            .collect();
        let package: DecisionPackage = serde_json::from_value(json!({
            "schema": blackstart_core::approval::package::SCHEMA, "run": id, "workload": "orders",
            "mode": "incident", "plan": plan, "boundary": now, "boundary_document": plan,
            "boundary_evidence": {
                "schema": "blackstart.boundary/1", "boundary": null,
                "coverage": {"objects": 0, "records": 0, "first": null, "last": null, "gaps": []},
            },
            "verdict": {"set": "s", "verdict": "clean", "layers": {}, "manifests": {}, "at": now},
            "set": {"id": "s", "newest": now, "oldest": now, "points": {}},
            "selection": plan, "rebuild": plan, "stacks": [], "isolation": [], "restores": [], "secrets": [],
            "inventory": inventory, "references": references,
            "identifiers": [{"kind": "account", "old": OLD, "new": REBUILD}],
            "expand": expand, "waivers": [], "zone": self.zone, "names": names, "shift": shift,
            "decide_by": later, "execute_by": later,
        }))
        .unwrap();
        let artifact = self
            .store(&id, "package.json", canonical_json(&package).unwrap())
            .await;
        let digest = artifact.sha256.clone();
        let mut gate = GateRecord::open(&package, artifact.clone(), digest.clone(), None, now);
        gate.state = GateState::Approved {
            at: now,
            by: vec!["ada".to_owned()],
        };
        let ledger = Ledger::new(&self.root_of(RECOVERY), TABLE.to_owned());
        assert!(ledger.put_new(&Key::gate(&id, &digest), &gate).await.unwrap());
        let boundary = CurrentBoundary {
            boundary: package.boundary,
            document: plan.clone(),
        };
        assert!(ledger.put_new(&Key::boundary(&id), &boundary).await.unwrap());
        let items = ItemsRecord {
            package: digest.clone(),
            rows: Vec::new(),
        };
        assert!(ledger.put_new(&Key::items(&id), &items).await.unwrap());
        Run {
            id,
            approved: Approved {
                plan,
                package: artifact,
                digest,
            },
        }
    }
}

fn account(id: &str) -> AccountId {
    AccountId::try_from(id.to_owned()).unwrap()
}

async fn make_ledger(hub: &SdkConfig) {
    let mut request = aws_sdk_dynamodb::Client::new(hub)
        .create_table()
        .table_name(TABLE)
        .billing_mode(table::BillingMode::PayPerRequest);
    for (name, kind) in [("pk", table::KeyType::Hash), ("sk", table::KeyType::Range)] {
        let definition = table::AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(table::ScalarAttributeType::S);
        let key = table::KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind);
        request = request
            .attribute_definitions(definition.build().unwrap())
            .key_schema(key.build().unwrap());
    }
    request.send().await.unwrap();
}

/// An execution of the cutover whose function the killer kills.
pub(crate) struct Execution<'a> {
    run: &'a Run,
    killer: &'a Killer,
    own: SdkConfig,
    config: Config,
    ledger: Ledger,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(world: &World, run: &'a Run, killer: &'a Killer) -> Self {
        let own = world
            .root_of(RECOVERY)
            .to_builder()
            .http_client(killer.clone())
            .build();
        let config = Config {
            ledger_table: TABLE.to_owned(),
            artifact_bucket: BUCKET.to_owned(),
            external_id: EXTERNAL_ID.to_owned(),
            token_key: "unused".to_owned(),
            topic: "unused".to_owned(),
        };
        Self {
            ledger: Ledger::new(&own, TABLE.to_owned()),
            run,
            killer,
            own,
            config,
        }
    }

    /// An operator's choice, as the state machine passes it on.
    pub(crate) fn operator(choice: &str) -> Failure {
        Failure {
            error: choice.to_owned(),
            cause: "ada: the new environment is not what it should be".to_owned(),
        }
    }

    /// What a function has that was just started: nothing is left of one that died.
    fn deps(&self) -> Deps<Aws, Ledger, blackstart_aws::tokens::KmsKey, blackstart_aws::notices::Topic> {
        let world = Aws::new(&self.own, &self.config);
        production(world, self.ledger.clone(), &self.own, &self.config)
    }
}

impl Tasks for Execution<'_> {
    fn approved(&self) -> Approved {
        self.run.approved.clone()
    }

    async fn task(&self, state: &'static str, input: Operation) -> Result<Answer, Failed> {
        let deps = self.deps();
        let entered = Timestamp::now();
        for retry_count in 0.. {
            let task = Task {
                context: StateContext {
                    execution: format!(
                        "arn:aws:states:{REGION}:{RECOVERY}:execution:cutover:{}",
                        self.run.id
                    ),
                    started: entered,
                    state: state.to_owned(),
                    entered,
                    retry_count,
                    redrive_count: 0,
                },
                run: Some(self.run.id.clone()),
                input: input.clone(),
            };
            let answer = tokio::select! {
                biased;
                () = self.killer.died() => return Err(Failed::Crash),
                // The largest of the operations nests deep; the stack of a test is small.
                answer = Box::pin(handle(task, &deps, Timestamp::now())) => answer,
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if error.name() == ErrorName::Transient && retry_count < RETRIES => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(Failed::Error(Box::new(error))),
            }
        }
        Err(Failed::Crash)
    }

    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
