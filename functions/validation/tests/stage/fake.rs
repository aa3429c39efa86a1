//! A validation account and a run's records in memory, with a fault at any call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::backup::{RestoreJob, ScanJob, StartRestore, StartScan};
use blackstart_aws::content::Content;
use blackstart_aws::ledger::{LedgerError, Versioned};
use blackstart_aws::port::PortError;
use blackstart_aws::trial_waits::WaitError;
use blackstart_core::artifact::{ArtifactRef, Digest, NotCanonical, canonical_json};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Invariant, Plan, Resource, ResourceType, Vault};
use blackstart_core::restore::resource::template_resource;
use blackstart_core::run::RunId;
use blackstart_core::task::approval::TaskToken;
use blackstart_core::validation::SetVerdict;
use blackstart_core::validation::access_point::AccessPointState;
use blackstart_core::validation::candidates::RecoveryPoint;
use blackstart_core::validation::check_function::{Called, Question};
use blackstart_core::validation::configuration::Observed;
use blackstart_core::validation::content::{Collection, ObjectScanner, Signatures};
use blackstart_core::validation::invariants::InvariantCheck;
use blackstart_core::validation::trial::TrialRecord;
use blackstart_core::validation::verdict::{RestoreState, ScanResult, ScanState};
use blackstart_core::validation::wait::TrialOfJob;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use validation::deps::{Deps, EnterAccount, RunRecords, TrialAccount, Waits};

/// When a faulty call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Before,
    After,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) points: Vec<RecoveryPoint>,
    /// Recovery point ARN to what it holds.
    pub(crate) contents: BTreeMap<String, Vec<(String, Vec<u8>)>>,
    pub(crate) threats: Vec<String>,
    /// Recovery points that are listed, and gone when something is done with them.
    pub(crate) vanished: Vec<String>,
    /// Objects that may be listed and not read.
    pub(crate) unreadable: Vec<String>,
    pub(crate) restore_messages: BTreeMap<String, String>,
    /// Restore jobs: token to point, target and number of polls.
    pub(crate) restores: BTreeMap<String, (String, String, u32)>,
    /// Restore jobs of these recovery points do not end.
    pub(crate) endless: Vec<String>,
    /// Restore jobs that have ended.
    pub(crate) ended: BTreeSet<String>,
    pub(crate) scans: BTreeMap<String, String>,
    /// Access points: name to point and number of looks. Empty: AWS Backup refuses to make any.
    pub(crate) access_points: Option<BTreeMap<String, (String, u32)>>,
    /// Access points of these recovery points fail.
    pub(crate) broken_access: Vec<String>,
    /// Throw-away resources that exist: name to point.
    pub(crate) existing: BTreeMap<String, String>,
    pub(crate) ever_created: usize,
    /// What Cloud Control API is removing, and how often it was looked at.
    pub(crate) removing: BTreeMap<String, u32>,
    /// How many removals it takes and refuses later.
    pub(crate) removals_fail: u32,
    pub(crate) results: BTreeMap<String, bool>,
    pub(crate) items: BTreeMap<Key, (u64, String)>,
    pub(crate) artifacts: BTreeMap<String, Vec<u8>>,
    /// Answers of the plan's functions, by name, and what they were asked.
    pub(crate) functions: BTreeMap<String, Called>,
    pub(crate) asked: Vec<Question>,
    /// Recovery point ARN to how its resource is configured.
    pub(crate) configurations: BTreeMap<String, Observed>,
    /// What points remember of their resource.
    pub(crate) remembered: BTreeMap<String, BTreeMap<String, String>>,
    /// Job id to the token of the wait that it ends.
    pub(crate) listening: BTreeMap<String, String>,
    /// The token of the state that waits.
    pub(crate) waiting: Option<String>,
    pub(crate) tokens: usize,
    /// Every job has ended, whenever it is looked at.
    pub(crate) jobs_end: bool,
    pub(crate) calls: usize,
    /// Number of the call that fails, once.
    pub(crate) fault: Option<(usize, Fault)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World(pub(crate) Arc<Mutex<State>>);

impl World {
    pub(crate) fn deps(&self) -> Deps<World, World> {
        Deps {
            records: self.clone(),
            enter: self.clone(),
        }
    }

    /// The token of a state that begins to wait.
    pub(crate) fn new_token(&self) -> TaskToken {
        let mut state = self.0.lock().unwrap();
        state.tokens += 1;
        let token = format!("token-{}", state.tokens);
        state.waiting = Some(token.clone());
        TaskToken::new(token)
    }

    /// An event about a job. `true`: it ended a wait.
    pub(crate) fn event(&self, job: &str) -> bool {
        let mut state = self.0.lock().unwrap();
        let token = state.listening.get(job).cloned();
        let ends = token.is_some() && token == state.waiting;
        if ends {
            state.waiting = None;
        }
        ends
    }

    /// Whether a state waits.
    pub(crate) fn waits(&self) -> bool {
        self.0.lock().unwrap().waiting.is_some()
    }

    /// The wait has run its time, if it was not ended before.
    pub(crate) fn wait_is_over(&self) {
        self.0.lock().unwrap().waiting = None;
    }

    /// The jobs that events could be about.
    pub(crate) fn known_jobs(&self) -> Vec<String> {
        self.0.lock().unwrap().listening.keys().cloned().collect()
    }

    pub(crate) fn let_jobs_end(&self) {
        self.0.lock().unwrap().jobs_end = true;
    }

    pub(crate) fn let_jobs_take_longer(&self) {
        let mut state = self.0.lock().unwrap();
        for (_, _, polls) in state.restores.values_mut() {
            *polls = 0;
        }
    }

    pub(crate) fn fail_next_call(&self) {
        let mut state = self.0.lock().unwrap();
        state.fault = Some((state.calls + 1, Fault::Before));
    }

    /// A document that the run has stored.
    pub(crate) fn stored<T: DeserializeOwned>(&self, path: &str, run: &RunId) -> T {
        let state = self.0.lock().unwrap();
        serde_json::from_slice(&state.artifacts[&format!("runs/{run}/{path}")]).unwrap()
    }

    /// The sets that were judged.
    pub(crate) fn sets_with_verdict(&self, run: &RunId) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let partition = Key::run_partition(run);
        let keys = state.items.keys().filter(|key| key.pk == partition);
        keys.filter_map(|key| key.sk.strip_prefix(Key::SET_VERDICT_PREFIX))
            .map(str::to_owned)
            .collect()
    }

    /// One call, which the scripted fault may hit before or after its effect.
    fn call<T>(&self, effect: impl FnOnce(&mut State) -> Result<T, PortError>) -> Result<T, PortError> {
        let mut state = self.0.lock().unwrap();
        state.calls += 1;
        let hit = state
            .fault
            .filter(|(at, _)| *at == state.calls)
            .map(|(_, when)| when);
        let lost = || PortError::Transient {
            what: "a call".to_owned(),
            why: "scripted".to_owned(),
        };
        match hit {
            Some(Fault::Before) => Err(lost()),
            Some(Fault::After) => {
                let _ = effect(&mut state);
                Err(lost())
            }
            None => effect(&mut state),
        }
    }
}

fn missing(what: &str) -> PortError {
    PortError::NotFound {
        what: what.to_owned(),
        why: "there is none".to_owned(),
    }
}

impl RunRecords for World {
    async fn plan(&self, plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        self.document(plan).await
    }

    async fn document<T: DeserializeOwned + Send>(&self, artifact: &ArtifactRef) -> Result<T, ArtifactError> {
        let bytes = self.call(|state| {
            state
                .artifacts
                .get(&artifact.key)
                .cloned()
                .ok_or_else(|| missing(&artifact.key))
        })?;
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    async fn frozen(&self, run: &RunId, path: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        let key = format!("runs/{run}/{path}");
        Ok(self.call(|state| Ok(state.artifacts.get(&key).cloned()))?)
    }

    async fn store<T: Serialize + Sync>(
        &self,
        run: &RunId,
        path: &str,
        document: &T,
    ) -> Result<ArtifactRef, ArtifactError> {
        let bytes = canonical_json(document).unwrap();
        let key = format!("runs/{run}/{path}");
        let artifact = ArtifactRef {
            bucket: "artifacts".to_owned(),
            key: key.clone(),
            version: None,
            sha256: Digest::of(&bytes),
            bytes: bytes.len() as u64,
        };
        self.call(|state| {
            state.artifacts.insert(key, bytes);
            Ok(())
        })?;
        Ok(artifact)
    }

    async fn item<T: DeserializeOwned + Send>(&self, key: &Key) -> Result<Option<Versioned<T>>, LedgerError> {
        Ok(self.call(|state| {
            Ok(state.items.get(key).map(|(version, text)| Versioned {
                document: serde_json::from_str(text).unwrap(),
                version: *version,
            }))
        })?)
    }

    async fn set_item<T: Serialize + Sync>(
        &self,
        key: &Key,
        version: u64,
        document: &T,
    ) -> Result<bool, LedgerError> {
        let text = serde_json::to_string(document).unwrap();
        Ok(self.call(|state| {
            let standing = state.items.get(key).map_or(0, |(version, _)| *version);
            let free = standing == version;
            if free {
                state.items.insert(key.clone(), (version + 1, text));
            }
            Ok(free)
        })?)
    }

    async fn trials(&self, run: &RunId) -> Result<Vec<TrialRecord>, LedgerError> {
        let pk = Key::run_partition(run);
        Ok(self.call(|state| {
            Ok(state
                .items
                .iter()
                .filter(|(key, _)| key.pk == pk && key.sk.starts_with(Key::TRIAL_PREFIX))
                .map(|(_, (_, text))| serde_json::from_str(text).unwrap())
                .collect())
        })?)
    }

    async fn verdicts(&self, run: &RunId) -> Result<BTreeMap<String, SetVerdict>, LedgerError> {
        let pk = Key::run_partition(run);
        Ok(self.call(|state| {
            Ok(state
                .items
                .iter()
                .filter(|(key, _)| key.pk == pk && key.sk.starts_with(Key::SET_VERDICT_PREFIX))
                .map(|(_, (_, text))| serde_json::from_str::<SetVerdict>(text).unwrap())
                .map(|said| (said.set.clone(), said))
                .collect())
        })?)
    }
}

impl Waits for World {
    async fn listen(
        &self,
        _: &TrialOfJob,
        _: &str,
        token: &TaskToken,
        jobs: &[&str],
        _: Timestamp,
    ) -> Result<(), WaitError> {
        Ok(self.call(|state| {
            for job in jobs {
                state
                    .listening
                    .insert((*job).to_owned(), token.expose().to_owned());
            }
            Ok(())
        })?)
    }

    async fn wake(&self, token: &TaskToken) -> Result<(), PortError> {
        self.call(|state| {
            state.waiting.take_if(|waiting| waiting == token.expose());
            Ok(())
        })
    }
}

impl EnterAccount for World {
    type Account = World;

    async fn enter(&self, _plan: &Plan, _run: &RunId) -> Result<World, PortError> {
        self.call(|_| Ok(()))?;
        Ok(self.clone())
    }
}

impl TrialAccount for World {
    async fn recovery_points(&self, _: &Vault, resource_arn: &str) -> Result<Vec<RecoveryPoint>, PortError> {
        self.call(|state| {
            Ok(state
                .points
                .iter()
                .filter(|point| point.resource_arn.as_deref() == Some(resource_arn))
                .cloned()
                .collect())
        })
    }

    async fn start_restore(&self, start: StartRestore<'_>) -> Result<String, PortError> {
        let target = start
            .metadata
            .get("DestinationBucketName")
            .or_else(|| start.metadata.get("targetTableName"))
            .cloned()
            // Of a file system AWS chooses the id.
            .unwrap_or_else(|| format!("fs-{}", Digest::of(start.token.as_bytes())));
        self.call(|state| {
            if state.vanished.iter().any(|point| point == start.point) {
                return Err(missing(start.point));
            }
            state
                .restores
                .entry(start.token.to_owned())
                .or_insert((start.point.to_owned(), target, 0));
            Ok(start.token.to_owned())
        })
    }

    async fn restore_metadata(&self, _: &Vault, point: &str) -> Result<BTreeMap<String, String>, PortError> {
        self.call(|state| Ok(state.remembered.get(point).cloned().unwrap_or_default()))
    }

    async fn restore_job(&self, id: &str) -> Result<RestoreJob, PortError> {
        self.call(|state| {
            let (point, target, polls) = state.restores.get_mut(id).ok_or_else(|| missing(id))?;
            if state.vanished.contains(point) {
                return Err(missing(point));
            }
            *polls += 1;
            if state.jobs_end {
                *polls = (*polls).max(3);
            }
            let slow = state.endless.contains(point);
            let running = *polls < 3 || slow;
            if !running && !state.existing.contains_key(target) && !state.ended.contains(id) {
                state.ended.insert(id.to_owned());
                state.existing.insert(target.clone(), point.clone());
                state.ever_created += 1;
            }
            Ok(RestoreJob {
                state: if running {
                    RestoreState::Running
                } else {
                    RestoreState::Completed
                },
                message: state.restore_messages.get(point).cloned(),
                created: (!running && target.starts_with("fs-")).then(|| {
                    format!("arn:aws:elasticfilesystem:us-east-1:222222222222:file-system/{target}")
                }),
            })
        })
    }

    async fn create_access_point(&self, name: &str, point: &str) -> Result<String, PortError> {
        self.call(|state| {
            let points = state.access_points.as_mut().ok_or_else(|| PortError::Refused {
                what: "making an access point".to_owned(),
                why: "the vault allows none".to_owned(),
            })?;
            points.entry(name.to_owned()).or_insert((point.to_owned(), 0));
            Ok(format!("arn:{name}"))
        })
    }

    async fn access_point(&self, arn: &str) -> Result<AccessPointState, PortError> {
        self.call(|state| {
            let name = arn.strip_prefix("arn:").unwrap();
            let points = state.access_points.as_mut().ok_or_else(|| missing(arn))?;
            let (point, looks) = points.get_mut(name).ok_or_else(|| missing(arn))?;
            *looks += 1;
            let alias = format!("{name}-s3alias");
            Ok(match *looks {
                0..3 => AccessPointState::Creating,
                _ if state.broken_access.contains(point) => {
                    AccessPointState::Unusable("it is FAILED".to_owned())
                }
                _ => {
                    state.existing.insert(alias.clone(), point.clone());
                    AccessPointState::Available { alias }
                }
            })
        })
    }

    async fn remove_access_point(&self, arn: &str) -> Result<bool, PortError> {
        self.call(|state| {
            let name = arn.strip_prefix("arn:").unwrap();
            state.existing.remove(&format!("{name}-s3alias"));
            let points = state.access_points.as_mut().ok_or_else(|| missing(arn))?;
            Ok(points.remove(name).is_some())
        })
    }

    async fn start_scan(&self, start: StartScan<'_>) -> Result<String, PortError> {
        self.call(|state| {
            state.scans.insert(start.token.to_owned(), start.point.to_owned());
            Ok(start.token.to_owned())
        })
    }

    async fn scan_job(&self, id: &str) -> Result<ScanJob, PortError> {
        self.call(|state| {
            let point = state.scans.get(id).ok_or_else(|| missing(id))?;
            let threats = state.threats.contains(point);
            Ok(ScanJob {
                state: ScanState::Completed,
                result: Some(if threats {
                    ScanResult::Threats
                } else {
                    ScanResult::NoThreats
                }),
                message: None,
            })
        })
    }

    async fn put_validation_result(&self, id: &str, valid: bool, _: &str) -> Result<(), PortError> {
        self.call(|state| {
            if state.results.contains_key(id) {
                return Err(PortError::Refused {
                    what: "setting the validation result".to_owned(),
                    why: "it is set already".to_owned(),
                });
            }
            state.results.insert(id.to_owned(), valid);
            Ok(())
        })
    }

    async fn read(
        &self,
        resource: &Resource,
        name: &str,
        invariants: &[Invariant],
        rules: &Arc<dyn Signatures>,
    ) -> Result<Content, PortError> {
        let (objects, unreadable) = self.call(|state| {
            if !resource.resource_type.is_readable() {
                return Ok((Vec::new(), state.unreadable.clone()));
            }
            let point = state.existing.get(name).ok_or_else(|| missing(name))?;
            let objects = state.contents.get(point).cloned().unwrap_or_default();
            Ok((objects, state.unreadable.clone()))
        })?;
        let mut collection = Collection::new(&resource.id);
        let mut check = InvariantCheck::new(resource, invariants);
        for (key, bytes) in objects {
            match resource.resource_type {
                ResourceType::S3 if unreadable.contains(&key) => {
                    check.object(&key);
                    collection.unreadable(&key, "AccessDenied");
                }
                ResourceType::S3 => {
                    check.object(&key);
                    let mut scanner = ObjectScanner::new(&key).with_signatures(rules.begin());
                    scanner.update(&bytes);
                    collection.object(scanner.finish());
                }
                ResourceType::DynamoDb => {
                    check.item(&key, &serde_json::from_slice(&bytes).unwrap_or_default());
                    collection.item(key, &bytes, Vec::new());
                }
                ResourceType::Rds
                | ResourceType::Aurora
                | ResourceType::Ebs
                | ResourceType::Ec2
                | ResourceType::Efs
                | ResourceType::Fsx => {}
            }
        }
        let (manifest, scan) = collection.finish();
        Ok(Content {
            invariants: check.finish(&manifest),
            manifest,
            scan,
        })
    }

    async fn configuration(
        &self,
        _: &Vault,
        point: &str,
        _: ResourceType,
        name: &str,
    ) -> Result<Observed, PortError> {
        self.call(|state| {
            let restored = state.existing.get(name).ok_or_else(|| missing(name))?;
            assert_eq!(restored, point);
            Ok(state.configurations.get(point).cloned().unwrap_or_default())
        })
    }

    async fn ask(&self, function: &str, question: &Question, seconds: u16) -> Result<Called, NotCanonical> {
        let mut state = self.0.lock().unwrap();
        state.asked.push(question.clone());
        let answer = state.functions.get(function).cloned();
        Ok(answer.unwrap_or(Called::TimedOut(seconds)))
    }

    async fn is_there(&self, resource_type: ResourceType, _: &str, arn: &str) -> Result<bool, PortError> {
        self.call(|state| {
            let Some((_, id)) = template_resource(resource_type, arn) else {
                return Ok(true);
            };
            if let Some(looks) = state.removing.get_mut(id) {
                *looks += 1;
                if *looks == 2 {
                    state.removing.remove(id);
                    if state.removals_fail == 0 {
                        state.existing.remove(id);
                    } else {
                        state.removals_fail -= 1;
                    }
                }
            }
            Ok(state.existing.contains_key(id))
        })
    }

    async fn remove(&self, resource_type: ResourceType, name: &str, arn: &str) -> Result<bool, PortError> {
        self.call(|state| {
            let id = if resource_type.is_readable() {
                name
            } else {
                let (_, id) = template_resource(resource_type, arn).ok_or_else(|| PortError::Refused {
                    what: format!("deleting `{arn}`"),
                    why: "there is no resource of this type".to_owned(),
                })?;
                id
            };
            if resource_type.is_readable() {
                return Ok(state.existing.remove(id).is_some());
            }
            // It is taken, and done or refused some time later.
            state.removing.entry(id.to_owned()).or_default();
            Ok(true)
        })
    }
}
