//! GuardDuty: is a finding that came as an event really known to the detector?

use crate::port::{Effect, PortError, classify};

/// Findings of one detector of the delegated administrator.
#[derive(Debug, Clone)]
pub struct Findings {
    guardduty: aws_sdk_guardduty::Client,
    detector: String,
}

impl Findings {
    /// Findings of this detector.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, detector: String) -> Self {
        Self {
            guardduty: aws_sdk_guardduty::Client::new(config),
            detector,
        }
    }

    /// Whether the detector holds a finding with this id about this account.
    ///
    /// # Errors
    /// [`PortError`] as GuardDuty answers.
    pub async fn knows(&self, id: &str, account: &str) -> Result<bool, PortError> {
        let answer = self
            .guardduty
            .get_findings()
            .detector_id(&self.detector)
            .finding_ids(id)
            .send()
            .await
            .map_err(|error| classify(format!("reading finding `{id}`"), Effect::Read, &error))?;
        Ok(answer
            .findings()
            .iter()
            .any(|finding| finding.id() == Some(id) && finding.account_id() == Some(account)))
    }
}
