//! The world in memory, and what goes wrong in it.

use super::*;

/// What happens to one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tests) enum Fault {
    Refused,
    Throttled,
    ReplyLostAfterEffect,
    ReplyLostBeforeEffect,
    CrashBeforeEffect,
    CrashAfterEffect,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) documents: BTreeMap<Slot, String>,
    pub(super) records: Vec<RecordSet>,
    pub(super) artifacts: BTreeMap<Digest, Vec<u8>>,
    pub(super) checks: BTreeMap<String, String>,
    /// Where the policy that contains is attached.
    pub(super) attached: BTreeSet<String>,
    /// Its text, where it is not what it should be.
    pub(super) quarantine: Option<String>,
    /// The name server that does not answer.
    pub(super) silent: Option<String>,
    /// The change of records that has not reached all servers.
    pub(super) pending: Option<String>,
    /// What the checkers look for.
    pub(super) search: Option<String>,
    /// Whether the checkers are content with any answer.
    pub(super) content_with_anything: bool,
    pub(super) nonce: Option<String>,
    pub(super) served: bool,
    pub(super) effects: usize,
    pub(super) writes: usize,
    pub(super) faults: BTreeMap<usize, Fault>,
    /// After which effect somebody else changes which document.
    pub(super) edit: Option<(usize, Slot)>,
    /// After which effect somebody else changes the records.
    pub(super) retarget: Option<usize>,
    /// What is wrong with the new environment's certificate.
    pub(super) untrusted: Option<Untrusted>,
    /// Under which name the checkers ask by HTTPS.
    pub(super) asked_as: Option<String>,
    /// Seed of the pauses by which two executors interleave.
    pub(super) pace: Option<u64>,
    /// How often a task is retried that certainly had no effect.
    pub(super) patience: Option<u32>,
    pub(super) crashed: bool,
    pub(super) clock: i64,
    pub(super) repeat: bool,
    pub(super) asked: usize,
}

/// The world in memory.
#[derive(Debug, Default)]
pub(in crate::tests) struct Fake(Mutex<Inner>);

impl Fake {
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    /// One effect, under its fault. After a crash nothing goes on.
    async fn effect<T>(
        &self,
        f: impl FnOnce(&mut Inner) -> Result<T, PortError> + Send,
    ) -> Result<T, PortError> {
        for _ in 0..self.pauses() {
            tokio::task::yield_now().await;
        }
        let outcome = self.attempt(f);
        self.disturb();
        if self.with(|inner| inner.crashed) {
            std::future::pending::<()>().await;
        }
        outcome
    }

    /// How often the next effect gives way to another executor.
    fn pauses(&self) -> u64 {
        self.with(|inner| {
            let pace = inner.pace.as_mut()?;
            *pace = next_scattered(*pace);
            Some(*pace >> 60)
        })
        .unwrap_or_default()
    }

    /// Somebody else acts.
    fn disturb(&self) {
        self.with(|inner| {
            let done = inner.effects;
            if let Some((_, slot)) = inner.edit.take_if(|(after, _)| *after < done) {
                inner.documents.insert(slot, third_party());
            }
            if inner.retarget.take_if(|after| *after < done).is_some() {
                for set in inner.records.iter_mut().filter(|set| set.name == SHOP) {
                    set.values = vec![SOMEWHERE.to_owned()];
                }
            }
        });
    }

    /// Whether the executor died; asked once per death.
    pub(super) fn take_crash(&self) -> bool {
        self.with(|inner| std::mem::take(&mut inner.crashed))
    }

    fn attempt<T>(&self, f: impl FnOnce(&mut Inner) -> Result<T, PortError>) -> Result<T, PortError> {
        let what = "an effect".to_owned();
        self.with(|inner| {
            let fault = inner.faults.get(&inner.effects).copied();
            inner.effects += 1;
            let lost = |why: &str| PortError::OutcomeUnknown {
                what: "an effect".to_owned(),
                why: why.to_owned(),
            };
            match fault {
                None => f(inner),
                Some(Fault::Refused) => Err(PortError::Refused {
                    what,
                    why: "AccessDenied".to_owned(),
                }),
                Some(Fault::Throttled) => Err(PortError::Transient {
                    what,
                    why: "Throttling".to_owned(),
                }),
                Some(Fault::ReplyLostAfterEffect) => f(inner).and_then(|_| Err(lost("timeout"))),
                Some(Fault::ReplyLostBeforeEffect) => Err(lost("timeout")),
                Some(Fault::CrashBeforeEffect) => {
                    inner.crashed = true;
                    Err(lost("crash"))
                }
                Some(Fault::CrashAfterEffect) => {
                    inner.crashed = true;
                    f(inner).and_then(|_| Err(lost("crash")))
                }
            }
        })
    }
}

impl World for Fake {
    async fn artifact(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, CutoverError> {
        self.with(|inner| inner.artifacts.get(&artifact.sha256).cloned())
            .ok_or_else(|| CutoverError::Foreign(format!("no artifact {}", artifact.key)))
    }

    async fn put_artifact(&self, _: &RunId, path: &str, bytes: Vec<u8>) -> Result<ArtifactRef, CutoverError> {
        Ok(self.with(|inner| put(inner, path, bytes)))
    }

    async fn document(&self, _: &RunId, _: &Plan, slot: &Slot) -> Result<String, PortError> {
        tokio::task::yield_now().await;
        Ok(self.with(|inner| inner.documents[slot].clone()))
    }

    async fn write_document(&self, _: &RunId, _: &Plan, slot: &Slot, text: &str) -> Result<(), PortError> {
        tokio::task::yield_now().await;
        self.effect(|inner| {
            inner.writes += 1;
            assert_ne!(
                inner.documents[slot],
                third_party(),
                "a third state was overwritten"
            );
            // The service spells it its own way.
            let value: Value = serde_json::from_str(text).unwrap();
            inner.documents.insert(slot.clone(), value.to_string());
            Ok(())
        })
        .await
    }

    async fn policy(&self, _: &RunId, _: &Plan, step: &ContainStep) -> Result<OrganisationPolicy, PortError> {
        assert_eq!(step.policy, QUARANTINE);
        Ok(OrganisationPolicy {
            kind: "SERVICE_CONTROL_POLICY".to_owned(),
            content: self.with(|inner| inner.quarantine.clone().unwrap_or_else(deny_everything)),
        })
    }

    async fn is_attached(&self, _: &RunId, _: &Plan, step: &ContainStep) -> Result<bool, PortError> {
        tokio::task::yield_now().await;
        Ok(self.with(|inner| inner.attached.contains(&step.target)))
    }

    async fn attach(&self, _: &RunId, _: &Plan, step: &ContainStep, attached: bool) -> Result<(), PortError> {
        self.effect(|inner| {
            if attached {
                inner.attached.insert(step.target.clone());
            } else {
                inner.attached.remove(&step.target);
            }
            Ok(())
        })
        .await
    }

    async fn records(&self, _: &str) -> Result<ZoneRecords, PortError> {
        tokio::task::yield_now().await;
        Ok(ZoneRecords {
            records: self.with(|inner| inner.records.clone()),
            ..ZoneRecords::default()
        })
    }

    async fn change_records(&self, _: &RunId, change: &TrafficChange) -> Result<String, PortError> {
        self.effect(|inner| {
            let mut next = inner.records.clone();
            for line in change.batch() {
                match line {
                    RecordChange::Delete(set) => match next.iter().position(|there| there == set) {
                        Some(at) => drop(next.remove(at)),
                        None => {
                            return Err(PortError::Refused {
                                what: "changing records".to_owned(),
                                why: "InvalidChangeBatch".to_owned(),
                            });
                        }
                    },
                    RecordChange::Create(set) => next.push(set.clone()),
                }
            }
            inner.records = next;
            Ok(format!("C{}", inner.effects))
        })
        .await
    }

    async fn in_sync(&self, change: &str) -> Result<bool, PortError> {
        Ok(self.with(|inner| inner.pending.as_deref() != Some(change)))
    }

    async fn name_servers(&self, _: &str) -> Result<Vec<String>, PortError> {
        Ok(["ns-1.example.net", "ns-2.example.net"]
            .map(str::to_owned)
            .to_vec())
    }

    async fn ask(&self, server: &str, name: &str, _: RecordType) -> Result<Vec<String>, PortError> {
        self.with(|inner| {
            if inner.silent.as_deref() == Some(server) {
                return Err(PortError::Transient {
                    what: "asking a name server".to_owned(),
                    why: "no answer in time".to_owned(),
                });
            }
            let mut sets = inner.records.iter().filter(|set| set.name == name);
            let primary = sets.find(|set| set.failover.as_deref() != Some("SECONDARY"));
            Ok(primary.map(|set| set.values.clone()).unwrap_or_default())
        })
    }

    async fn publish_nonce(&self, _: &RunId, _: &Plan, _: &NoncePlace, nonce: &str) -> Result<(), PortError> {
        self.effect(|inner| {
            inner.nonce = Some(nonce.to_owned());
            Ok(())
        })
        .await
    }

    async fn create_check(&self, settings: &CheckSettings) -> Result<String, PortError> {
        self.effect(|inner| {
            let id = format!("check-{}", inner.checks.len());
            inner.search = Some(settings.nonce.clone());
            inner.asked_as.clone_from(&settings.https);
            let id = inner.checks.entry(settings.reference.clone()).or_insert(id);
            Ok(id.clone())
        })
        .await
    }

    async fn check_reports(&self, check: &str) -> Result<Vec<CheckerReport>, PortError> {
        Ok(self.with(|inner| {
            assert!(inner.checks.values().any(|id| id == check));
            ["a", "b", "c"]
                .map(|region| CheckerReport {
                    region: region.to_owned(),
                    healthy: inner.served && (inner.nonce == inner.search || inner.content_with_anything),
                })
                .to_vec()
        }))
    }

    async fn delete_check(&self, check: &str) -> Result<(), PortError> {
        self.effect(|inner| {
            inner.checks.retain(|_, id| id != check);
            Ok(())
        })
        .await
    }

    async fn health_document(&self, _: &str) -> Option<String> {
        self.with(|inner| inner.nonce.clone().filter(|_| inner.served))
    }

    async fn secure_health_document(
        &self,
        endpoint: &Endpoint,
        tls: &TlsPlan,
        _: &str,
    ) -> Result<String, Untrusted> {
        self.certificate(endpoint, tls).await?;
        let served = self.with(|inner| inner.nonce.clone().filter(|_| inner.served));
        served.ok_or_else(|| Untrusted::NoAnswer("it answers 404".to_owned()))
    }

    async fn certificate(&self, endpoint: &Endpoint, _: &TlsPlan) -> Result<(), Untrusted> {
        assert_eq!(
            (endpoint.name.as_str(), endpoint.address.as_str()),
            ("shop.example.com", "198.51.100.7")
        );
        self.with(|inner| inner.untrusted.clone().map_or(Ok(()), Err))
    }

    fn now(&self) -> Timestamp {
        self.with(|inner| {
            inner.clock += 1;
            Timestamp::from_millisecond(1_772_366_400_000 + inner.clock).unwrap()
        })
    }

    async fn pause(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

pub(super) fn put(inner: &mut Inner, path: &str, bytes: Vec<u8>) -> ArtifactRef {
    let artifact = ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: path.to_owned(),
        version: None,
        sha256: Digest::of(&bytes),
        bytes: bytes.len() as u64,
    };
    inner.artifacts.insert(artifact.sha256.clone(), bytes);
    artifact
}

#[derive(Debug, Default)]
pub(in crate::tests) struct Told(pub(super) Mutex<String>);

impl Notices for Told {
    async fn send(&self, subject: &str, text: &str) -> Result<(), PortError> {
        self.0.lock().unwrap().push_str(&format!("{subject}\n{text}"));
        Ok(())
    }
}
