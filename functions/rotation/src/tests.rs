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
use blackstart_core::plan::Plan;
use blackstart_core::rotation::{CURRENT, RotationDocument, SecretValue};
use blackstart_core::run::RunId;
use blackstart_core::task::rotation::{Operation, Rotated};
use blackstart_core::task::{StateContext, Task};
use jiff::Timestamp;

use crate::port::{RebuildAccount, Run, Secrets};
use crate::{Deps, RotateError, handle};

const PLAN: &[u8] = include_bytes!("../../../tests/data/plan/orders.json");
const PACKAGE: &[u8] = include_bytes!("../../../tests/data/plan/orders-package.json");
const SECRET: &str = "orders/api-key";

struct World {
    package: DecisionPackage,
    approved: bool,
    /// Version id to value and labels of the one secret.
    versions: BTreeMap<String, (String, BTreeSet<String>)>,
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
            versions: BTreeMap::from([("old".to_owned(), ("stolen".to_owned(), labels))]),
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
        let labelled = world.versions.values().filter(|(_, labels)| !labels.is_empty());
        labelled.map(|(value, _)| value.clone()).collect()
    }
}

impl Run for &Fake {
    async fn plan(&self, _plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        Ok(Plan::parse(PLAN)?)
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

    async fn keep(&self, _run: &RunId, document: &RotationDocument) -> Result<ArtifactRef, ArtifactError> {
        Ok(self.call(|world| {
            world.kept.push(document.clone());
            world.package.plan.clone()
        })?)
    }
}

impl<'a> RebuildAccount for &'a Fake {
    type Secrets = &'a Fake;

    async fn open(&self, _plan: &Plan, _run: &RunId) -> Result<&'a Fake, PortError> {
        self.call(|_| ())?;
        Ok(self)
    }
}

impl Secrets for &Fake {
    async fn random(&self, length: u16) -> Result<SecretValue, PortError> {
        self.call(|world| {
            world.randoms += 1;
            SecretValue::new(format!("{:0>width$}", world.randoms, width = usize::from(length)))
        })
    }

    async fn versions(&self, _name: &str) -> Result<BTreeMap<String, BTreeSet<String>>, PortError> {
        self.call(|world| {
            let labels = world
                .versions
                .iter()
                .map(|(id, (_, labels))| (id.clone(), labels.clone()));
            labels.collect()
        })
    }

    async fn put(&self, _name: &str, version: &str, value: &SecretValue) -> Result<bool, PortError> {
        self.call(|world| {
            if world.versions.contains_key(version) {
                return false;
            }
            for (_, labels) in world.versions.values_mut() {
                labels.remove("AWSPREVIOUS");
                if labels.remove(CURRENT) {
                    labels.insert("AWSPREVIOUS".to_owned());
                }
            }
            let labels = BTreeSet::from([CURRENT.to_owned()]);
            world
                .versions
                .insert(version.to_owned(), (value.expose().to_owned(), labels));
            true
        })
    }

    async fn take_label(&self, _name: &str, version: &str, label: &str) -> Result<(), PortError> {
        self.call(|world| {
            world.versions.get_mut(version).unwrap().1.remove(label);
        })
    }
}

async fn rotate(fake: &Fake) -> Result<Rotated, RotateError> {
    let (plan, run) = {
        let world = fake.world();
        (world.package.plan.clone(), world.package.run.clone())
    };
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
        input: Operation::Rotate {
            package: plan.clone(),
            plan,
            digest: Digest::of(b"package"),
        },
    };
    let deps = Deps {
        run: fake,
        account: fake,
    };
    handle(task, &deps, Timestamp::UNIX_EPOCH).await
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
    assert_eq!(fake.world().versions.len(), 2);
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
            assert_eq!(fake.world().versions.len(), 2, "call {n}");
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
