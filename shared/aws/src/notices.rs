//! Notices to people, by SNS.

use std::future::Future;

use crate::port::{Effect, PortError, classify};

/// Longest subject that SNS takes, in characters (API reference of `Publish`).
const LONGEST_SUBJECT: usize = 100;

/// Tells people that they are needed. A notice holds no secret and nothing that acts when it is opened.
pub trait Notices: Send + Sync {
    /// Sends one notice.
    fn send(&self, subject: &str, text: &str) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// An SNS topic.
#[derive(Debug, Clone)]
pub struct Topic {
    sns: aws_sdk_sns::Client,
    arn: String,
}

impl Topic {
    /// The topic with this ARN.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, arn: String) -> Self {
        Self {
            sns: aws_sdk_sns::Client::new(config),
            arn,
        }
    }
}

impl Notices for Topic {
    async fn send(&self, subject: &str, text: &str) -> Result<(), PortError> {
        let subject: String = subject
            .chars()
            .filter(|c| c.is_ascii() && !c.is_control())
            .take(LONGEST_SUBJECT)
            .collect();
        self.sns
            .publish()
            .topic_arn(&self.arn)
            .subject(subject)
            .message(text)
            .send()
            .await
            // A second notice is a nuisance, not a harm.
            .map_err(|error| {
                classify(
                    format!("publishing to `{}`", self.arn),
                    Effect::IdempotentWrite,
                    &error,
                )
            })?;
        Ok(())
    }
}
