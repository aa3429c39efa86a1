//! Everything outside of the ledger that a cutover reads and changes: a seam, so that faults can be tested.

use std::future::Future;
use std::time::Duration;

use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::cutover::contain::{ContainStep, OrganisationPolicy};
use blackstart_core::dns::message::RecordType;
use blackstart_core::dns::{CheckerReport, Endpoint, TrafficChange, Untrusted, ZoneRecords};
use blackstart_core::plan::{NoncePlace, Plan, TlsPlan};
use blackstart_core::references::Slot;
use blackstart_core::run::RunId;
use jiff::Timestamp;

use crate::CutoverError;

/// What the checkers are to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSettings {
    /// Makes a repeat find the same check.
    pub reference: String,
    /// Address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Path.
    pub path: String,
    /// What the answer must contain.
    pub nonce: String,
    /// The name under which the checkers ask by HTTPS; by HTTP without one.
    pub https: Option<String>,
}

/// Documents in siblings, records, health checks, artifacts, time.
pub trait World: Send + Sync {
    /// The bytes of an artifact, whose digest was compared.
    fn artifact(&self, artifact: &ArtifactRef) -> impl Future<Output = Result<Vec<u8>, CutoverError>> + Send;
    /// Writes an artifact of the run.
    fn put_artifact(
        &self,
        run: &RunId,
        path: &str,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<ArtifactRef, CutoverError>> + Send;
    /// Reads a document in a sibling.
    fn document(
        &self,
        run: &RunId,
        plan: &Plan,
        slot: &Slot,
    ) -> impl Future<Output = Result<String, PortError>> + Send;
    /// Writes a document in a sibling.
    fn write_document(
        &self,
        run: &RunId,
        plan: &Plan,
        slot: &Slot,
        text: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Type and text of a policy of the organisation.
    fn policy(
        &self,
        run: &RunId,
        plan: &Plan,
        step: &ContainStep,
    ) -> impl Future<Output = Result<OrganisationPolicy, PortError>> + Send;
    /// Whether a policy is attached.
    fn is_attached(
        &self,
        run: &RunId,
        plan: &Plan,
        step: &ContainStep,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
    /// Attaches a policy, or detaches it.
    fn attach(
        &self,
        run: &RunId,
        plan: &Plan,
        step: &ContainStep,
        attached: bool,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Every record of a zone.
    fn records(&self, zone: &str) -> impl Future<Output = Result<ZoneRecords, PortError>> + Send;
    /// Changes records in one batch; returns the id of the change.
    fn change_records(
        &self,
        run: &RunId,
        change: &TrafficChange,
    ) -> impl Future<Output = Result<String, PortError>> + Send;
    /// Whether a change has reached all servers.
    fn in_sync(&self, change: &str) -> impl Future<Output = Result<bool, PortError>> + Send;
    /// The authoritative servers of a zone.
    fn name_servers(&self, zone: &str) -> impl Future<Output = Result<Vec<String>, PortError>> + Send;
    /// What an authoritative server answers.
    fn ask(
        &self,
        server: &str,
        name: &str,
        record_type: RecordType,
    ) -> impl Future<Output = Result<Vec<String>, PortError>> + Send;
    /// Puts the nonce where the new environment serves it from.
    fn publish_nonce(
        &self,
        run: &RunId,
        plan: &Plan,
        place: &NoncePlace,
        nonce: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Creates the health check, or finds it.
    fn create_check(
        &self,
        settings: &CheckSettings,
    ) -> impl Future<Output = Result<String, PortError>> + Send;
    /// What the checkers report.
    fn check_reports(
        &self,
        check: &str,
    ) -> impl Future<Output = Result<Vec<CheckerReport>, PortError>> + Send;
    /// Deletes the health check.
    fn delete_check(&self, check: &str) -> impl Future<Output = Result<(), PortError>> + Send;
    /// What the new environment answers to us by HTTP; `None` when it does not.
    fn health_document(&self, url: &str) -> impl Future<Output = Option<String>> + Send;
    /// What it answers by HTTPS under its real name.
    fn secure_health_document(
        &self,
        endpoint: &Endpoint,
        tls: &TlsPlan,
        path: &str,
    ) -> impl Future<Output = Result<String, Untrusted>> + Send;
    /// Whether an endpoint proves by its certificate that it is what clients look for.
    fn certificate(
        &self,
        endpoint: &Endpoint,
        tls: &TlsPlan,
    ) -> impl Future<Output = Result<(), Untrusted>> + Send;
    /// The clock.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send;
}
