//! Policies of EventBridge buses.

use aws_sdk_eventbridge::Client;
use blackstart_core::references::DocumentKind;

use super::{Documents, Reading};
use crate::port::{Effect, PortError, classify};

/// A bus: its name, ARN and policy.
pub(super) struct Bus {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) policy: Option<String>,
}

/// The buses of the account in this region; the listing brings the policies along.
pub(super) async fn list(documents: &Documents, client: &Client) -> Result<Vec<Bus>, PortError> {
    let what = format!("listing the event buses of {}", documents.account);
    let mut buses = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .list_event_buses()
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        for bus in page.event_buses.unwrap_or_default() {
            if let (Some(name), Some(arn)) = (bus.name, bus.arn) {
                let policy = bus.policy.filter(|policy| !policy.is_empty());
                buses.push(Bus { name, arn, policy });
            }
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(buses);
        }
    }
}

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let client = Client::new(&documents.config);
    let buses = list(documents, &client).await?;
    Ok(buses
        .into_iter()
        .map(|bus| {
            documents.document(
                DocumentKind::BusPolicy,
                &documents.region,
                bus.arn,
                Ok(bus.policy),
            )
        })
        .collect())
}
