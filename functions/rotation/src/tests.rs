use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::evidence::EvidenceError;
use blackstart_aws::gate::GateRefused;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::evidence::Event;
use blackstart_core::items::ItemsRecord;
use blackstart_core::plan::Plan;
use blackstart_core::rebuild::RebuildDocument;
use blackstart_core::restore::RestoreDocument;
use blackstart_core::rotation::hook::{HookAnswer, HookRequest};
use blackstart_core::rotation::{AccessKey, CURRENT, MAX_ACCESS_KEYS, RotationDocument, SecretValue};
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::rotation::{Operation, Rotated};
use blackstart_core::task::{StateContext, Task};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::port::{Credentials, RebuildAccount, Run};
use crate::{Deps, Output, RotateError, handle};

const PLAN: &[u8] = include_bytes!("../../../tests/data/plan/orders.json");
const PACKAGE: &[u8] = include_bytes!("../../../tests/data/plan/orders-package.json");
const SECRET: &str = "orders/api-key";

struct World {
    package: DecisionPackage,
    approved: bool,
    plan: Value,
    /// Secret to version id to value and labels.
    secrets: BTreeMap<String, BTreeMap<String, (String, BTreeSet<String>)>>,
    /// The keys of the one user.
    keys: Vec<AccessKey>,
    /// The runs whose tags the user and the parameter carry.
    owner: Option<String>,
    parameter_owner: Option<String>,
    mode: &'static str,
    made: usize,
    /// Version to value and labels of the one parameter.
    parameter: BTreeMap<i64, (String, BTreeSet<String>)>,
    /// Tokens with which the hook was asked.
    hooked: BTreeSet<String>,
    items: Option<ItemsRecord>,
    randoms: usize,
    kept: Vec<RotationDocument>,
    events: Vec<Event>,
    calls: usize,
    fail: Option<(usize, Lost)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Lost {
    Request,
    Answer,
}

struct Fake(Mutex<World>);

impl Fake {
    fn new() -> Self {
        let labels = BTreeSet::from([CURRENT.to_owned()]);
        Self(Mutex::new(World {
            package: serde_json::from_slice(PACKAGE).unwrap(),
            approved: true,
            plan: serde_json::from_slice(PLAN).unwrap(),
            secrets: BTreeMap::from([(
                SECRET.to_owned(),
                BTreeMap::from([("old".to_owned(), ("stolen".to_owned(), labels))]),
            )]),
            keys: Vec::new(),
            owner: None,
            parameter_owner: None,
            mode: "drill",
            made: 0,
            parameter: BTreeMap::new(),
            hooked: BTreeSet::new(),
            items: None,
            randoms: 0,
            kept: Vec::new(),
            events: Vec::new(),
            calls: 0,
            fail: None,
        }))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn call<T>(&self, act: impl FnOnce(&mut World) -> T) -> Result<T, PortError> {
        let mut world = self.world();
        world.calls += 1;
        let lost = world
            .fail
            .filter(|(n, _)| *n == world.calls)
            .map(|(_, lost)| lost);
        let cut = || PortError::Transient {
            what: "a call".to_owned(),
            why: "it was cut".to_owned(),
        };
        if lost == Some(Lost::Request) {
            return Err(cut());
        }
        let answer = act(&mut world);
        if lost == Some(Lost::Answer) {
            Err(cut())
        } else {
            Ok(answer)
        }
    }

    /// The values that any label leads to.
    fn readable(&self) -> Vec<String> {
        let world = self.world();
        let labelled = world.secrets[SECRET]
            .values()
            .filter(|(_, labels)| !labels.is_empty());
        labelled.map(|(value, _)| value.clone()).collect()
    }
}

impl Run for &Fake {
    async fn plan(&self, _plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        Ok(Plan::parse(self.world().plan.to_string().as_bytes())?)
    }

    async fn approved(
        &self,
        run: &RunId,
        _package: &ArtifactRef,
        digest: &Digest,
        _now: Timestamp,
    ) -> Result<DecisionPackage, GateRefused> {
        if !self.world().approved {
            return Err(GateRefused::NeverAsked(digest.clone(), run.clone()));
        }
        Ok(self
            .call(|world| world.package.clone())
            .map_err(ArtifactError::from)?)
    }

    async fn record(&self, _run: &RunId, event: Event) -> Result<(), EvidenceError> {
        self.call(|world| world.events.push(event))
            .map_err(|error| LedgerError::from(error).into())
    }

    async fn record_of(&self, run: &RunId) -> Result<Option<RunRecord>, LedgerError> {
        let record = self.call(|world| {
            json!({
                "run": run, "workload": "orders", "mode": world.mode, "plan": world.package.plan,
                "trigger": {"kind": "manual", "requested_by": "ada"},
                "execution": "e", "started": "2026-01-31T08:00:00Z", "conclusion": null
            })
        })?;
        Ok(Some(serde_json::from_value(record).unwrap()))
    }

    async fn rebuilt(&self, _document: &ArtifactRef) -> Result<RebuildDocument, ArtifactError> {
        Ok(self.call(|_| RebuildDocument {
            schema: blackstart_core::rebuild::SCHEMA.to_owned(),
            stacks: Vec::new(),
            isolation: Vec::new(),
            items: Vec::new(),
        })?)
    }

    async fn restored(&self, _run: &RunId) -> Result<Option<RestoreDocument>, ArtifactError> {
        Ok(self.call(|_| None)?)
    }

    async fn settle(&self, _run: &RunId, items: &ItemsRecord) -> Result<(), LedgerError> {
        Ok(self.call(|world| world.items = Some(items.clone()))?)
    }

    async fn keep(&self, _run: &RunId, document: &RotationDocument) -> Result<ArtifactRef, ArtifactError> {
        Ok(self.call(|world| {
            world.kept.push(document.clone());
            world.package.plan.clone()
        })?)
    }
}

impl<'a> RebuildAccount for &'a Fake {
    type Credentials = &'a Fake;

    async fn open(&self, _plan: &Plan, _run: &RunId) -> Result<&'a Fake, PortError> {
        self.call(|_| ())?;
        Ok(self)
    }
}

impl Credentials for &Fake {
    async fn random(&self, length: u16) -> Result<SecretValue, PortError> {
        self.call(|world| {
            world.randoms += 1;
            SecretValue::new(format!("{:0>width$}", world.randoms, width = usize::from(length)))
        })
    }

    async fn versions(&self, name: &str) -> Result<BTreeMap<String, BTreeSet<String>>, PortError> {
        self.call(|world| {
            // Versions without a label are not listed, as on AWS.
            world.secrets[name]
                .iter()
                .filter(|(_, (_, labels))| !labels.is_empty())
                .map(|(id, (_, labels))| (id.clone(), labels.clone()))
                .collect()
        })
    }

    async fn value(&self, name: &str, version: Option<&str>) -> Result<SecretValue, PortError> {
        self.call(|world| {
            let versions = &world.secrets[name];
            let found = match version {
                Some(version) => versions.get(version),
                None => versions.values().find(|(_, labels)| labels.contains(CURRENT)),
            };
            SecretValue::new(found.unwrap().0.clone())
        })
    }

    async fn put(&self, name: &str, version: &str, value: &SecretValue) -> Result<bool, PortError> {
        self.call(|world| {
            let versions = world.secrets.get_mut(name).unwrap();
            if versions.contains_key(version) {
                return false;
            }
            for (_, labels) in versions.values_mut() {
                labels.remove("AWSPREVIOUS");
                if labels.remove(CURRENT) {
                    labels.insert("AWSPREVIOUS".to_owned());
                }
            }
            let labels = BTreeSet::from([CURRENT.to_owned()]);
            versions.insert(version.to_owned(), (value.expose().to_owned(), labels));
            true
        })
    }

    async fn take_label(&self, name: &str, version: &str, label: &str) -> Result<(), PortError> {
        self.call(|world| {
            let versions = world.secrets.get_mut(name).unwrap();
            versions.get_mut(version).unwrap().1.remove(label);
        })
    }

    async fn access_keys(&self, _user: &str) -> Result<Vec<AccessKey>, PortError> {
        self.call(|world| world.keys.clone())
    }

    async fn make_access_key(&self, _user: &str) -> Result<(String, SecretValue), PortError> {
        self.call(|world| {
            assert!(world.keys.len() < MAX_ACCESS_KEYS, "IAM makes no third key");
            world.made += 1;
            let id = format!("AKIA{}", world.made);
            world.keys.push(AccessKey {
                created: Timestamp::from_second(i64::try_from(world.made).unwrap()).unwrap(),
                id: id.clone(),
                active: true,
            });
            (id.clone(), SecretValue::new(format!("secret half of {id}")))
        })
    }

    async fn deactivate(&self, _user: &str, id: &str) -> Result<(), PortError> {
        self.call(|world| {
            for key in world.keys.iter_mut().filter(|key| key.id == id) {
                key.active = false;
            }
        })
    }

    async fn delete_access_key(&self, _user: &str, id: &str) -> Result<(), PortError> {
        self.call(|world| world.keys.retain(|key| key.id != id))
    }

    async fn parameter_versions(&self, _name: &str) -> Result<BTreeMap<i64, BTreeSet<String>>, PortError> {
        self.call(|world| {
            let versions = world.parameter.iter();
            versions
                .map(|(version, (_, labels))| (*version, labels.clone()))
                .collect()
        })
    }

    async fn run_of_user(&self, _user: &str) -> Result<Option<String>, PortError> {
        self.call(|world| world.owner.clone())
    }

    async fn run_of_parameter(&self, name: &str) -> Result<Option<String>, PortError> {
        let owner = self.call(|world| (!world.parameter.is_empty()).then(|| world.parameter_owner.clone()));
        owner?.ok_or_else(|| PortError::NotFound {
            what: name.to_owned(),
            why: "gone".to_owned(),
        })
    }

    async fn delete_parameter(&self, _name: &str) -> Result<(), PortError> {
        self.call(|world| world.parameter.clear())
    }

    async fn put_parameter(
        &self,
        _name: &str,
        value: &SecretValue,
        new_for: Option<&RunId>,
    ) -> Result<Option<i64>, PortError> {
        self.call(|world| {
            if let Some(run) = new_for {
                if !world.parameter.is_empty() {
                    return None;
                }
                world.parameter_owner = Some(run.to_string());
            }
            let version = world.parameter.keys().last().map_or(1, |last| last + 1);
            let new = (value.expose().to_owned(), BTreeSet::new());
            world.parameter.insert(version, new);
            Some(version)
        })
    }

    async fn label_parameter(&self, _name: &str, version: i64, label: &str) -> Result<(), PortError> {
        self.call(|world| {
            for (_, labels) in world.parameter.values_mut() {
                labels.remove(label);
            }
            world
                .parameter
                .get_mut(&version)
                .unwrap()
                .1
                .insert(label.to_owned());
        })
    }

    async fn ask_hook(&self, _function: &str, request: &HookRequest) -> Result<HookAnswer, PortError> {
        self.call(|world| {
            world.hooked.insert(request.token.clone());
            HookAnswer {
                version: "serial:01".to_owned(),
            }
        })
    }
}

/// A world with a credential of every kind, and what an intruder may know of each.
fn every_kind() -> Fake {
    let fake = Fake::new();
    {
        let mut world = fake.world();
        let rotation = json!({
            "secrets": [{"name": SECRET, "keys": ["password"]}],
            "credentials": [
                {"kind": "access_key", "user": "mailer", "secret": "orders/mailer"},
                {"kind": "parameter", "name": "/orders/token"},
                {"kind": "hook", "name": "certificate", "function": "renew"},
            ],
        });
        world.plan["rotation"] = rotation.clone();
        world.package.secrets = serde_json::from_value(rotation["secrets"].clone()).unwrap();
        world.package.credentials = serde_json::from_value(rotation["credentials"].clone()).unwrap();
        let current = || BTreeSet::from([CURRENT.to_owned()]);
        let stolen = r#"{"host":"db.example","password":"stolen"}"#.to_owned();
        world.secrets.insert(
            SECRET.to_owned(),
            BTreeMap::from([("old".to_owned(), (stolen, current()))]),
        );
        let empty = ("{}".to_owned(), current());
        world.secrets.insert(
            "orders/mailer".to_owned(),
            BTreeMap::from([("old".to_owned(), empty)]),
        );
        world.parameter.insert(4, ("stolen".to_owned(), BTreeSet::new()));
        for id in ["STOLEN1", "STOLEN2"] {
            world.keys.push(AccessKey {
                created: Timestamp::UNIX_EPOCH,
                id: id.to_owned(),
                active: true,
            });
        }
    }
    fake
}

/// What must hold once everything is rotated, however it came about.
fn is_all_new(fake: &Fake) {
    let world = fake.world();
    let current = |name: &str| {
        let versions = &world.secrets[name];
        let labelled: Vec<_> = versions
            .values()
            .filter(|(_, labels)| !labels.is_empty())
            .collect();
        assert_eq!(labelled.len(), 1, "{name}");
        serde_json::from_str::<Value>(&labelled[0].0).unwrap()
    };
    let login = current(SECRET);
    assert_eq!(login["host"], "db.example");
    assert_ne!(login["password"], "stolen");
    let key = current("orders/mailer");
    let active: Vec<_> = world.keys.iter().filter(|key| key.active).collect();
    assert_eq!(active.len(), 1);
    assert_eq!(key["access_key_id"], active[0].id.as_str());
    assert_eq!(
        key["secret_access_key"],
        format!("secret half of {}", active[0].id)
    );
    let (_, (value, labels)) = world.parameter.last_key_value().unwrap();
    assert!(value != "stolen" && labels.len() == 1);
    assert_eq!(world.hooked.len(), 1, "the hook is asked with one token");
}

#[tokio::test(flavor = "current_thread")]
async fn every_kind_of_credential_is_new_and_its_value_is_nowhere() {
    let fake = every_kind();
    let first = rotate(&fake).await.unwrap();
    assert_eq!(first.rotated, 5);
    is_all_new(&fake);
    let made = fake.world().made;
    assert_eq!(rotate(&fake).await.unwrap(), first);
    assert_eq!(fake.world().made, made, "a repeat makes no key");
    let world = fake.world();
    let said = format!("{:?} {:?} {:?}", world.kept, world.events, world.items);
    assert!(said.contains("AKIA") && said.contains("serial:01"), "{said}");
    assert!(!said.contains("secret half") && !said.contains("0001"), "{said}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_leaves_no_old_credential_of_any_kind_in_use() {
    let total = {
        let fake = every_kind();
        rotate(&fake).await.unwrap();
        fake.world().calls
    };
    for lost in [Lost::Request, Lost::Answer] {
        for n in 1..=total {
            let fake = every_kind();
            fake.world().fail = Some((n, lost));
            if let Err(error) = rotate(&fake).await {
                assert_eq!(error.name(), ErrorName::Transient, "call {n}: {error}");
                rotate(&fake).await.unwrap();
            }
            is_all_new(&fake);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_misspelt_key_of_a_secret_stops_instead_of_leaving_the_stolen_value() {
    let fake = every_kind();
    fake.world().plan["rotation"]["secrets"][0]["keys"] = json!(["pasword"]);
    let keys = fake.world().plan["rotation"]["secrets"].clone();
    fake.world().package.secrets = serde_json::from_value(keys).unwrap();
    let error = rotate(&fake).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error.to_string().contains("`pasword`") && !error.to_string().contains("stolen"),
        "{error}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn an_access_key_that_somebody_took_out_of_use_is_reported() {
    let fake = every_kind();
    rotate(&fake).await.unwrap();
    for key in &mut fake.world().keys {
        key.active = false;
    }
    let error = rotate(&fake).await.unwrap_err();
    assert!(matches!(error, RotateError::KeyLost { .. }), "{error}");
}

async fn rotate(fake: &Fake) -> Result<Rotated, RotateError> {
    let (plan, digest) = (fake.world().package.plan.clone(), Digest::of(b"package"));
    let package = plan.clone();
    let rotate = Operation::Rotate {
        plan,
        package,
        digest,
    };
    match ask(fake, rotate).await? {
        Output::Rotated(rotated) => Ok(rotated),
        Output::Removed(_) => panic!("another answer"),
    }
}

async fn clean_up(fake: &Fake) -> Result<Vec<String>, RotateError> {
    let plan = fake.world().package.plan.clone();
    match ask(fake, Operation::CleanUp { plan }).await? {
        Output::Removed(removed) => Ok(removed.removed),
        Output::Rotated(_) => panic!("another answer"),
    }
}

async fn ask(fake: &Fake, input: Operation) -> Result<Output, RotateError> {
    let run = fake.world().package.run.clone();
    let task = Task {
        context: StateContext {
            execution: "arn:e".to_owned(),
            started: Timestamp::UNIX_EPOCH,
            state: "Rotate credentials".to_owned(),
            entered: Timestamp::UNIX_EPOCH,
            retry_count: 0,
            redrive_count: 0,
        },
        run: Some(run),
        input,
    };
    let deps = Deps {
        run: fake,
        account: fake,
    };
    handle(task, &deps, Timestamp::UNIX_EPOCH).await
}

#[tokio::test(flavor = "current_thread")]
async fn a_drill_removes_its_keys_and_its_own_parameter_and_nothing_of_others() {
    let fake = every_kind();
    let run = fake.world().package.run.to_string();
    fake.world().parameter.clear();
    rotate(&fake).await.unwrap();
    assert!(
        clean_up(&fake)
            .await
            .unwrap()
            .contains(&"/orders/token".to_owned())
    );
    let keys = fake.world().keys.len();
    assert_eq!(keys, 2, "the user does not carry the tag of the run");
    fake.world().owner = Some(run);
    assert_eq!(clean_up(&fake).await.unwrap().len(), 2);
    assert!(fake.world().keys.is_empty());
    assert!(clean_up(&fake).await.unwrap().is_empty());

    let fake = every_kind();
    rotate(&fake).await.unwrap();
    clean_up(&fake).await.unwrap();
    let kept = !fake.world().parameter.is_empty();
    assert!(kept, "a parameter that was there before stays");
    fake.world().mode = "incident";
    assert_eq!(
        clean_up(&fake).await.unwrap_err().name(),
        ErrorName::PolicyRefused
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_old_value_is_readable_under_no_label_and_a_repeat_makes_nothing_new() {
    let fake = Fake::new();
    let first = rotate(&fake).await.unwrap();
    assert_eq!(first.rotated, 1);
    let value = format!("{:0>40}", 1);
    assert_eq!(fake.readable(), std::slice::from_ref(&value));
    assert_eq!(rotate(&fake).await.unwrap(), first);
    assert_eq!(fake.readable(), std::slice::from_ref(&value));
    assert_eq!(fake.world().secrets[SECRET].len(), 2);
    let kept = format!("{:?}", fake.world().kept);
    assert!(kept.contains(SECRET) && !kept.contains(&value), "{kept}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_makes_no_second_version() {
    for lost in [Lost::Request, Lost::Answer] {
        for n in 1..=10 {
            let fake = Fake::new();
            fake.world().fail = Some((n, lost));
            if let Err(error) = rotate(&fake).await {
                assert_eq!(error.name(), ErrorName::Transient, "call {n}: {error}");
                rotate(&fake).await.unwrap();
            }
            assert_eq!(fake.world().secrets[SECRET].len(), 2, "call {n}");
            assert_eq!(fake.readable().len(), 1, "call {n}");
            assert_ne!(fake.readable(), ["stolen"], "call {n}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_is_rotated_without_approval_or_beyond_it() {
    let fake = Fake::new();
    fake.world().approved = false;
    assert_eq!(rotate(&fake).await.unwrap_err().name(), ErrorName::PolicyRefused);
    fake.world().approved = true;
    fake.world().package.secrets.clear();
    assert_eq!(rotate(&fake).await.unwrap_err().name(), ErrorName::PolicyRefused);
    assert_eq!(fake.readable(), ["stolen"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_version_that_somebody_made_later_is_reported_and_kept() {
    let fake = Fake::new();
    rotate(&fake).await.unwrap();
    (&fake)
        .put(SECRET, "theirs", &SecretValue::new("other".to_owned()))
        .await
        .unwrap();
    let error = rotate(&fake).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error.to_string().contains("theirs") && !error.to_string().contains("other"),
        "{error}"
    );
    assert!(fake.readable().contains(&"other".to_owned()));
}
