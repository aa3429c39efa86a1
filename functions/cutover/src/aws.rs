//! The world as it is: AWS.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use blackstart_aws::artifacts::{ArtifactStore, s3_client};
use blackstart_aws::clients::{Accounts, Assume};
use blackstart_aws::documents_write::DocumentSession;
use blackstart_aws::organizations::Organizations;
use blackstart_aws::port::{Effect, PortError, classify};
use blackstart_aws::route53::{CheckRequest, Route53};
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::cutover::contain::{ContainStep, OrganisationPolicy};
use blackstart_core::cutover::session_policy;
use blackstart_core::dns::message::{self, RecordType};
use blackstart_core::dns::{CheckerReport, Endpoint, TrafficChange, Untrusted, ZoneRecords};
use blackstart_core::plan::{ContainPlan, NoncePlace, Plan, TlsPlan};
use blackstart_core::references::Slot;
use blackstart_core::run::RunId;
use jiff::{SignedDuration, Timestamp};
use tokio::net::UdpSocket;
use tokio::sync::Mutex;

use crate::CutoverError;
use crate::config::Config;
use crate::endpoint;
use crate::world::{CheckSettings, World};

/// How long an assumed session is used again: well below its 15 minutes, and longer than any step takes.
const REUSED_FOR: SignedDuration = SignedDuration::from_mins(10);
/// How long a name server may take.
const DNS_TIMEOUT: Duration = Duration::from_secs(3);
const DNS_PORT: u16 = 53;
/// Largest datagram of DNS without extensions (RFC 1035, 4.2.1), which are not asked for.
const LARGEST_DATAGRAM: usize = 512;
/// How long the new environment may take to answer us.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(6);
/// A checker looks at the first 5,120 bytes; so do we.
const HEALTH_BYTES: usize = 5_120;

/// AWS, and the new environment's address.
#[derive(Debug, Clone)]
pub struct Aws {
    artifacts: ArtifactStore,
    accounts: Accounts,
    route53: Route53,
    http: reqwest::Client,
    /// The session that was assumed last. A step reads, writes and reads again.
    session: Arc<Mutex<Option<Assumed>>>,
}

#[derive(Debug, Clone)]
struct Assumed {
    run: RunId,
    slot: Slot,
    at: Timestamp,
    session: DocumentSession,
}

impl Aws {
    /// AWS under the function's own configuration.
    #[must_use]
    pub fn new(own: &SdkConfig, config: &Config) -> Self {
        Self {
            artifacts: ArtifactStore::new(own, config.artifact_bucket.clone()),
            accounts: Accounts::new(own.clone(), config.external_id.clone()),
            route53: Route53::new(own),
            http: reqwest::Client::new(),
            session: Arc::default(),
        }
    }

    /// A session for this document alone: the one of the call before, if it was for the same.
    async fn session(&self, run: &RunId, plan: &Plan, slot: &Slot) -> Result<DocumentSession, PortError> {
        let mut last = self.session.lock().await;
        let fresh = |assumed: &Assumed| {
            let age = self.now().duration_since(assumed.at);
            assumed.run == *run && assumed.slot == *slot && age < REUSED_FOR
        };
        if let Some(assumed) = last.as_ref().filter(|assumed| fresh(assumed)) {
            return Ok(assumed.session.clone());
        }
        let session = self.assume(run, plan, slot).await?;
        *last = Some(Assumed {
            run: run.clone(),
            slot: slot.clone(),
            at: self.now(),
            session: session.clone(),
        });
        Ok(session)
    }

    /// A session in the management account that may attach and detach the plan's policies, and nothing else.
    async fn organizations(&self, run: &RunId, plan: &Plan) -> Result<Organizations, PortError> {
        let contain = plan.cutover.contain.as_ref().ok_or_else(|| PortError::Refused {
            what: "containing the old account".to_owned(),
            why: "the plan has no means for it".to_owned(),
        })?;
        let config = self
            .accounts
            .assume(&Assume {
                partition: &plan.partition,
                account: &contain.account,
                role: &contain.role,
                run,
                region: &plan.region,
                session_policy: Some(containment_policy(contain)),
            })
            .await?;
        Ok(Organizations::new(&config))
    }

    async fn assume(&self, run: &RunId, plan: &Plan, slot: &Slot) -> Result<DocumentSession, PortError> {
        let region = if slot.region.is_empty() {
            &plan.region
        } else {
            &slot.region
        };
        let config = self
            .accounts
            .assume(&Assume {
                partition: &plan.partition,
                account: &slot.account,
                role: &plan.roles.sibling_writer,
                run,
                region,
                session_policy: Some(session_policy(slot)),
            })
            .await?;
        Ok(DocumentSession::new(&config, slot.clone()))
    }
}

/// What the session that contains the old account may do: with the plan's policies, on the plan's targets.
fn containment_policy(contain: &ContainPlan) -> String {
    let resources: BTreeSet<String> = contain
        .policies
        .iter()
        .flat_map(|attachment| {
            // The ids are the last parts of ARNs whose other parts the plan does not know.
            [&attachment.policy, &attachment.target].map(|id| format!("arn:*:organizations::*:*/{id}"))
        })
        .collect();
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": [
                "organizations:AttachPolicy",
                "organizations:DescribePolicy",
                "organizations:DetachPolicy",
                "organizations:ListTargetsForPolicy",
            ],
            "Resource": resources,
        }],
    })
    .to_string()
}

/// One question over UDP. A server has its name alone on AWS; on a local one, a port, too.
async fn exchange(server: &str, name: &str, record_type: RecordType) -> Result<Vec<String>, String> {
    // A fresh hasher is seeded by the operating system: nobody off the path can guess the id.
    let random = RandomState::new().build_hasher().finish();
    let id = u16::try_from(random & 0xffff).unwrap_or_default();
    let asked = message::question(id, name, record_type).map_err(|error| error.to_string())?;
    let address = if server.contains(':') {
        server.to_owned()
    } else {
        format!("{server}:{DNS_PORT}")
    };
    let address = tokio::net::lookup_host(address)
        .await
        .map_err(|error| error.to_string())?
        .next()
        .ok_or("the server has no address")?;
    let local: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(local).await.map_err(|error| error.to_string())?;
    // Takes datagrams of this server alone.
    socket.connect(address).await.map_err(|error| error.to_string())?;
    socket.send(&asked).await.map_err(|error| error.to_string())?;
    let mut answer = [0; LARGEST_DATAGRAM];
    let length = socket
        .recv(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    let answer = answer.get(..length).unwrap_or_default();
    message::answer(answer, id, name, record_type).map_err(|error| error.to_string())
}

/// What the session that publishes the nonce may do: write that object, through the bucket's key.
fn nonce_policy(plan: &Plan, place: &NoncePlace) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:PutObject",
                "Resource": format!("arn:{}:s3:::{}/{}", plan.partition, place.bucket, place.key),
            },
            {
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": format!("arn:{}:kms:{}:{}:key/*", plan.partition, plan.region, plan.accounts.rebuild),
            },
        ],
    })
    .to_string()
}

impl World for Aws {
    async fn artifact(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, CutoverError> {
        Ok(self.artifacts.get(artifact).await?)
    }

    async fn put_artifact(
        &self,
        run: &RunId,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<ArtifactRef, CutoverError> {
        Ok(self.artifacts.put(run, path, "application/json", bytes).await?)
    }

    async fn document(&self, run: &RunId, plan: &Plan, slot: &Slot) -> Result<String, PortError> {
        self.session(run, plan, slot).await?.read().await
    }

    async fn write_document(
        &self,
        run: &RunId,
        plan: &Plan,
        slot: &Slot,
        text: &str,
    ) -> Result<(), PortError> {
        self.session(run, plan, slot).await?.write(text).await
    }

    async fn policy(
        &self,
        run: &RunId,
        plan: &Plan,
        step: &ContainStep,
    ) -> Result<OrganisationPolicy, PortError> {
        self.organizations(run, plan).await?.policy(&step.policy).await
    }

    async fn is_attached(&self, run: &RunId, plan: &Plan, step: &ContainStep) -> Result<bool, PortError> {
        self.organizations(run, plan)
            .await?
            .is_attached(&step.policy, &step.target)
            .await
    }

    async fn attach(
        &self,
        run: &RunId,
        plan: &Plan,
        step: &ContainStep,
        attached: bool,
    ) -> Result<(), PortError> {
        let organizations = self.organizations(run, plan).await?;
        if attached {
            organizations.attach(&step.policy, &step.target).await
        } else {
            organizations.detach(&step.policy, &step.target).await
        }
    }

    async fn records(&self, zone: &str) -> Result<ZoneRecords, PortError> {
        self.route53.records(zone).await
    }

    async fn change_records(&self, run: &RunId, change: &TrafficChange) -> Result<String, PortError> {
        self.route53.apply(change, &format!("Blackstart run {run}")).await
    }

    async fn in_sync(&self, change: &str) -> Result<bool, PortError> {
        self.route53.in_sync(change).await
    }

    async fn name_servers(&self, zone: &str) -> Result<Vec<String>, PortError> {
        self.route53.name_servers(zone).await
    }

    async fn ask(&self, server: &str, name: &str, record_type: RecordType) -> Result<Vec<String>, PortError> {
        let what = format!("asking `{server}` for `{name}`");
        let failed = |why: String| PortError::Transient {
            what: what.clone(),
            why,
        };
        match tokio::time::timeout(DNS_TIMEOUT, exchange(server, name, record_type)).await {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(why)) => Err(failed(why)),
            Err(_) => Err(failed("no answer in time".to_owned())),
        }
    }

    async fn publish_nonce(
        &self,
        run: &RunId,
        plan: &Plan,
        place: &NoncePlace,
        nonce: &str,
    ) -> Result<(), PortError> {
        let config = self
            .accounts
            .in_rebuild_account(plan, run, nonce_policy(plan, place))
            .await?;
        s3_client(&config)
            .put_object()
            .bucket(&place.bucket)
            .key(&place.key)
            .expected_bucket_owner(plan.accounts.rebuild.as_str())
            .content_type("text/plain")
            .body(nonce.as_bytes().to_vec().into())
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("publishing the nonce in `s3://{}/{}`", place.bucket, place.key),
                    Effect::IdempotentWrite,
                    &error,
                )
            })?;
        Ok(())
    }

    async fn create_check(&self, settings: &CheckSettings) -> Result<String, PortError> {
        self.route53
            .create_check(&CheckRequest {
                reference: &settings.reference,
                address: &settings.address,
                port: settings.port,
                path: &settings.path,
                search: &settings.nonce,
                https: settings.https.as_deref(),
            })
            .await
    }

    async fn check_reports(&self, check: &str) -> Result<Vec<CheckerReport>, PortError> {
        self.route53.check_reports(check).await
    }

    async fn delete_check(&self, check: &str) -> Result<(), PortError> {
        self.route53.delete_check(check).await
    }

    async fn health_document(&self, url: &str) -> Option<String> {
        let answer = self.http.get(url).timeout(HEALTH_TIMEOUT).send().await;
        let mut answer = answer.ok()?.error_for_status().ok()?;
        let mut seen = Vec::new();
        while seen.len() < HEALTH_BYTES {
            match answer.chunk().await {
                Ok(Some(chunk)) => seen.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => return None,
            }
        }
        seen.truncate(HEALTH_BYTES);
        Some(String::from_utf8_lossy(&seen).into_owned())
    }

    async fn secure_health_document(
        &self,
        endpoint: &Endpoint,
        tls: &TlsPlan,
        path: &str,
    ) -> Result<String, Untrusted> {
        endpoint::document(endpoint, tls.authorities.as_ref(), path).await
    }

    async fn certificate(&self, endpoint: &Endpoint, tls: &TlsPlan) -> Result<(), Untrusted> {
        endpoint::handshake(endpoint, tls.authorities.as_ref()).await
    }

    fn now(&self) -> Timestamp {
        blackstart_aws::harness::now()
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
