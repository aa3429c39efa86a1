//! AWS Certificate Manager: what it says of a certificate, signed here. A client crate would be for one request.

use aws_config::SdkConfig;
use blackstart_core::rotation::certificate::Certificate;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, Signed};

const DESCRIBE: Operation = Operation {
    endpoint: Endpoint {
        id: "ACM",
        host: "acm",
        signing: "acm",
    },
    permission: "acm:DescribeCertificate",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.1",
        target: "CertificateManager.DescribeCertificate",
    },
};

/// Certificates of one account and region.
#[derive(Debug, Clone)]
pub struct Certificates {
    client: Signed,
}

impl Certificates {
    /// ACM under this configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Signed::new(config),
        }
    }

    /// What ACM says of the certificate with this ARN.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn describe(&self, arn: &str) -> Result<Certificate, PortError> {
        let what = format!("describing certificate `{arn}`");
        let asked = json!({ "CertificateArn": arn });
        let answer = self.client.json(&DESCRIBE, &what, "/", &asked).await?;
        let member = |name: &str| answer.get("Certificate").and_then(|it| it.get(name));
        let text = |name: &str| member(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Certificate {
            status: text("Status").unwrap_or_default(),
            origin: text("Type").unwrap_or_default(),
            created: member("CreatedAt").and_then(instant),
            serial: text("Serial"),
        })
    }
}

/// Seconds since 1970, with a fraction or without; the fraction decides nothing here and is cut off.
fn instant(value: &Value) -> Option<Timestamp> {
    let text = value.to_string();
    let seconds = text.split('.').next()?.parse().ok()?;
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::testing::Wire;

    #[tokio::test(flavor = "current_thread")]
    async fn what_acm_says_is_read_and_what_it_leaves_out_is_unknown() {
        let described = r#"{"Certificate":{"CertificateArn":"arn","Status":"ISSUED","Type":"AMAZON_ISSUED",
            "CreatedAt":1767225600.25,"Serial":"01:ab"}}"#;
        for (answer, expected) in [
            (
                described,
                Certificate {
                    status: "ISSUED".to_owned(),
                    origin: "AMAZON_ISSUED".to_owned(),
                    created: Some("2026-01-01T00:00:00Z".parse().unwrap()),
                    serial: Some("01:ab".to_owned()),
                },
            ),
            ("{}", Certificate::default()),
        ] {
            let wire = Wire::new(move |_| (200, answer.to_owned()));
            let client = Signed::over(&wire.config(), wire.connector());
            let said = Certificates { client }.describe("arn:1").await.unwrap();
            assert_eq!(said, expected);
            let asked = &wire.asked()[0];
            assert_eq!(asked.target, "CertificateManager.DescribeCertificate");
            assert_eq!(asked.body, r#"{"CertificateArn":"arn:1"}"#);
        }
    }
}
