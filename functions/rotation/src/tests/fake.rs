//! A rebuild account in memory, and what the run knows.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::evidence::EvidenceError;
use blackstart_aws::faults::Unreliable;
use blackstart_aws::gate::GateRefused;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::evidence::Event;
use blackstart_core::items::ItemsRecord;
use blackstart_core::plan::{DatabaseKind, Plan};
use blackstart_core::rebuild::RebuildDocument;
use blackstart_core::restore::RestoreDocument;
use blackstart_core::rotation::certificate::Certificate;
use blackstart_core::rotation::database::MasterPassword;
use blackstart_core::rotation::hook::{HookAnswer, HookRequest};
use blackstart_core::rotation::managed::{ManagedPassword, ManagedSecret};
use blackstart_core::rotation::{AccessKey, CURRENT, MAX_ACCESS_KEYS, RotationDocument, SecretValue};
use blackstart_core::run::{RunId, RunRecord};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::port::{Credentials, RebuildAccount, Run};

pub(super) const PLAN: &[u8] = include_bytes!("../../../../tests/data/plan/orders.json");

pub(super) const PACKAGE: &[u8] = include_bytes!("../../../../tests/data/plan/orders-package.json");

pub(super) const SECRET: &str = "orders/api-key";

/// The secret in which RDS keeps a password.
pub(super) const MANAGED: &str = "arn:aws:secretsmanager:eu-central-1:333333333333:secret:rds!db-1";

pub(super) struct World {
    pub(super) package: DecisionPackage,
    pub(super) approved: bool,
    pub(super) plan: Value,
    /// Secret to version id to value and labels.
    pub(super) secrets: BTreeMap<String, BTreeMap<String, (String, BTreeSet<String>)>>,
    /// The keys of the one user.
    pub(super) keys: Vec<AccessKey>,
    /// The runs whose tags the user and the parameter carry.
    pub(super) owner: Option<String>,
    pub(super) parameter_owner: Option<String>,
    pub(super) mode: &'static str,
    pub(super) made: usize,
    /// Version to value and labels of the one parameter.
    pub(super) parameter: BTreeMap<i64, (String, BTreeSet<String>)>,
    /// The password of the one database, and what it says about it.
    pub(super) database: (String, MasterPassword),
    /// What RDS says of the one database whose password it manages; its secret is among `secrets` under its ARN.
    pub(super) managed: ManagedPassword,
    /// What ACM says of any certificate, and which was asked about.
    pub(super) certificate: Certificate,
    pub(super) described: BTreeSet<String>,
    /// Tokens with which the hook was asked.
    pub(super) hooked: BTreeSet<String>,
    pub(super) items: Option<ItemsRecord>,
    pub(super) randoms: usize,
    pub(super) kept: Vec<RotationDocument>,
    pub(super) events: Vec<Event>,
}

pub(super) type Fake = Unreliable<World>;

/// One secret, stolen, and nothing else.
pub(super) fn one_secret() -> Fake {
    let labels = BTreeSet::from([CURRENT.to_owned()]);
    Fake::new(World {
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
        database: (
            "stolen".to_owned(),
            MasterPassword {
                version: None,
                pending: false,
                available: true,
            },
        ),
        managed: ManagedPassword {
            available: true,
            ..ManagedPassword::default()
        },
        certificate: Certificate::default(),
        described: BTreeSet::new(),
        hooked: BTreeSet::new(),
        items: None,
        randoms: 0,
        kept: Vec::new(),
        events: Vec::new(),
    })
}

/// The values that any label leads to.
pub(super) fn readable(fake: &Fake) -> Vec<String> {
    let world = fake.world();
    let labelled = world.secrets[SECRET]
        .values()
        .filter(|(_, labels)| !labels.is_empty());
    labelled.map(|(value, _)| value.clone()).collect()
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

    async fn master_password(&self, _: DatabaseKind, _: &str) -> Result<MasterPassword, PortError> {
        self.call(|world| {
            // The look after a change finds it made.
            let now = world.database.1.clone();
            world.database.1.pending = false;
            now
        })
    }

    async fn set_master_password(
        &self,
        _: DatabaseKind,
        _: &str,
        password: &SecretValue,
        version: &str,
    ) -> Result<(), PortError> {
        self.call(|world| {
            world.database = (
                password.expose().to_owned(),
                MasterPassword {
                    version: Some(version.to_owned()),
                    pending: true,
                    available: true,
                },
            );
        })
    }

    async fn managed_password(&self, _: DatabaseKind, _: &str) -> Result<ManagedPassword, PortError> {
        self.call(|world| {
            // The look after a change finds it made.
            let now = world.managed.clone();
            world.managed.available = true;
            if let Some(secret) = &mut world.managed.secret {
                secret.status = "active".to_owned();
            }
            now
        })
    }

    async fn manage_password(&self, _: DatabaseKind, _: &str, rotate: bool) -> Result<(), PortError> {
        self.call(|world| {
            assert_eq!(
                rotate,
                world.managed.secret.is_some(),
                "RDS refuses either for the other"
            );
            world.made += 1;
            let (value, labels) = (
                format!("by RDS {}", world.made),
                BTreeSet::from([CURRENT.to_owned()]),
            );
            let versions = world.secrets.entry(MANAGED.to_owned()).or_default();
            for (_, labels) in versions.values_mut() {
                *labels = BTreeSet::from(["AWSPREVIOUS".to_owned()]);
            }
            versions.insert(format!("made-{}", world.made), (value, labels));
            world.managed.available = false;
            world.managed.secret = Some(ManagedSecret {
                arn: MANAGED.to_owned(),
                status: if rotate { "rotating" } else { "creating" }.to_owned(),
            });
        })
    }

    async fn note_rotation(&self, _: DatabaseKind, _: &str, note: &str) -> Result<(), PortError> {
        self.call(|world| world.managed.note = Some(note.to_owned()))
    }

    async fn certificate(&self, arn: &str) -> Result<Certificate, PortError> {
        self.call(|world| {
            world.described.insert(arn.to_owned());
            world.certificate.clone()
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
