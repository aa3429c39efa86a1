//! In front of Route 53: health status and test answers are the stand-in's own, all else is the emulator's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_sdk_route53::types::{ResourceRecordSet, ResourceRecordSetFailover, RrType};
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get};
use serde::Deserialize;

use super::Shared;
use super::backup::disturbance;
use super::caller::Incoming;
use super::control::Operation;
use super::health::{counts_as_healthy, observations};
use super::wire::{ServiceError, escaped, xml};
use crate::accounts::root_of;

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/2013-04-01/healthcheck/{check}/status", get(health_check_status))
        .route("/2013-04-01/testdnsanswer", get(test_dns_answer))
        .route(
            "/2013-04-01/hostedzone/{zone}",
            get(hosted_zone).fallback(pass_on),
        )
        .route("/2013-04-01/{*rest}", any(pass_on))
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let incoming = match Incoming::read(request).await {
        Ok(incoming) => incoming,
        Err(error) => return error.into_xml(),
    };
    match shared.callers.pass_on(&incoming).await {
        Ok(answer) => answer,
        Err(error) => error.into_xml(),
    }
}

async fn admitted(shared: &Shared, request: Request, operation: Operation) -> Result<String, Response> {
    let incoming = Incoming::read(request).await.map_err(ServiceError::into_xml)?;
    let account = shared.callers.admit(&incoming).await?;
    disturbance(shared.control.fault(operation)).map_err(ServiceError::into_xml)?;
    Ok(account)
}

async fn health_check_status(
    State(shared): State<Arc<Shared>>,
    Path(check): Path<String>,
    request: Request,
) -> Response {
    let account = match admitted(&shared, request, Operation::GetHealthCheckStatus).await {
        Ok(account) => account,
        Err(refusal) => return refusal,
    };
    let Some(seen) = observations(&shared, &account, &check).await else {
        return ServiceError::not_found(format!("No health check exists with the specified ID {check}"))
            .into_xml();
    };
    let mut body = format!("<GetHealthCheckStatusResponse xmlns=\"{NAMESPACE}\"><HealthCheckObservations>");
    for observation in seen {
        let _infallible = write!(
            body,
            "<HealthCheckObservation><Region>{}</Region><IPAddress>{}</IPAddress><StatusReport><Status>{}</Status>\
             <CheckedTime>{}</CheckedTime></StatusReport></HealthCheckObservation>",
            observation.region,
            observation.address,
            escaped(&observation.status),
            observation.at
        );
    }
    body.push_str("</HealthCheckObservations></GetHealthCheckStatusResponse>");
    xml(StatusCode::OK, &body)
}

/// The zone with the one server that answers for it here.
async fn hosted_zone(
    State(shared): State<Arc<Shared>>,
    Path(zone): Path<String>,
    request: Request,
) -> Response {
    let incoming = match Incoming::read(request).await {
        Ok(incoming) => incoming,
        Err(error) => return error.into_xml(),
    };
    let account = match shared.callers.admit(&incoming).await {
        Ok(account) => account,
        Err(refusal) => return refusal,
    };
    let client = aws_sdk_route53::Client::new(&root_of(&shared.emulator, &account));
    let found = client.get_hosted_zone().id(&zone).send().await;
    let Some(found) = found.ok().and_then(|found| found.hosted_zone) else {
        return ServiceError::not_found(format!("No hosted zone found with ID: {zone}")).into_xml();
    };
    xml(
        StatusCode::OK,
        &format!(
            "<GetHostedZoneResponse xmlns=\"{NAMESPACE}\"><HostedZone><Id>{}</Id><Name>{}</Name>\
             <CallerReference>{}</CallerReference></HostedZone><DelegationSet><NameServers><NameServer>{}</NameServer>\
             </NameServers></DelegationSet></GetHostedZoneResponse>",
            escaped(&found.id),
            escaped(&found.name),
            escaped(&found.caller_reference),
            shared.name_server
        ),
    )
}

/// What is answered for a name of any zone of this account.
pub(super) async fn resolved(shared: &Shared, account: &str, name: &str, record_type: &str) -> Vec<String> {
    let client = aws_sdk_route53::Client::new(&root_of(&shared.emulator, account));
    let zones = client.list_hosted_zones().send().await;
    let name = fully_qualified(name);
    let zone = zones
        .map(|zones| zones.hosted_zones)
        .unwrap_or_default()
        .into_iter()
        .find(|zone| name.ends_with(&fully_qualified(&zone.name)));
    let Some(zone) = zone else { return Vec::new() };
    let question = Question {
        zone: zone.id,
        name,
        record_type: record_type.to_owned(),
    };
    let records = records(shared, account, &question).await.unwrap_or_default();
    let healthy = health_of(shared, account, &records).await;
    answer(&records, |check| healthy.get(check).copied().unwrap_or(true))
}

/// Which of the records' checks count as healthy.
async fn health_of(shared: &Shared, account: &str, records: &[ResourceRecordSet]) -> BTreeMap<String, bool> {
    let mut healthy = BTreeMap::new();
    for check in records
        .iter()
        .filter_map(|record| record.health_check_id.as_deref())
    {
        let seen = observations(shared, account, check).await.unwrap_or_default();
        healthy.insert(check.to_owned(), counts_as_healthy(&seen));
    }
    healthy
}

#[derive(Debug, Deserialize)]
struct Question {
    #[serde(rename = "hostedzoneid")]
    zone: String,
    #[serde(rename = "recordname")]
    name: String,
    #[serde(rename = "recordtype")]
    record_type: String,
}

async fn test_dns_answer(
    State(shared): State<Arc<Shared>>,
    Query(question): Query<Question>,
    request: Request,
) -> Response {
    let account = match admitted(&shared, request, Operation::TestDnsAnswer).await {
        Ok(account) => account,
        Err(refusal) => return refusal,
    };
    let records = match records(&shared, &account, &question).await {
        Ok(records) => records,
        Err(error) => return error.into_xml(),
    };
    let healthy = health_of(&shared, &account, &records).await;
    let values = answer(&records, |check| healthy.get(check).copied().unwrap_or(true));
    let mut data = String::new();
    for value in &values {
        let _infallible = write!(data, "<RecordDataEntry>{}</RecordDataEntry>", escaped(value));
    }
    let code = if values.is_empty() { "NXDOMAIN" } else { "NOERROR" };
    xml(
        StatusCode::OK,
        &format!(
            "<TestDNSAnswerResponse xmlns=\"{NAMESPACE}\"><Nameserver>ns-1.example.net</Nameserver>\
             <RecordName>{}</RecordName><RecordType>{}</RecordType><RecordData>{data}</RecordData>\
             <ResponseCode>{code}</ResponseCode><Protocol>UDP</Protocol></TestDNSAnswerResponse>",
            escaped(&question.name),
            escaped(&question.record_type)
        ),
    )
}

/// The zone's record sets of the asked name and type, as the emulator has them.
async fn records(
    shared: &Shared,
    account: &str,
    question: &Question,
) -> Result<Vec<ResourceRecordSet>, ServiceError> {
    let client = aws_sdk_route53::Client::new(&root_of(&shared.emulator, account));
    let wanted = fully_qualified(&question.name);
    let wanted_type = RrType::from(question.record_type.as_str());
    let mut found = Vec::new();
    let mut from: Option<(String, RrType, Option<String>)> = None;
    loop {
        let (name, record_type, identifier) = match from.take() {
            Some((name, record_type, identifier)) => (Some(name), Some(record_type), identifier),
            None => (None, None, None),
        };
        let page = client
            .list_resource_record_sets()
            .hosted_zone_id(&question.zone)
            .set_start_record_name(name)
            .set_start_record_type(record_type)
            .set_start_record_identifier(identifier)
            .send()
            .await
            .map_err(|error| {
                ServiceError::invalid(format!("zone `{}` cannot be read: {error}", question.zone))
            })?;
        found.extend(
            page.resource_record_sets
                .into_iter()
                .filter(|record| fully_qualified(&record.name) == wanted && record.r#type == wanted_type),
        );
        match (page.is_truncated, page.next_record_name, page.next_record_type) {
            (true, Some(name), Some(record_type)) => {
                from = Some((name, record_type, page.next_record_identifier));
            }
            _ => return Ok(found),
        }
    }
}

fn fully_qualified(name: &str) -> String {
    let mut name = name.to_ascii_lowercase();
    if !name.ends_with('.') {
        name.push('.');
    }
    name
}

/// What Route 53 answers from the record sets of one name and type.
///
/// Failover: the primary while it is healthy, else the secondary if that is healthy, else the primary all the same.
/// Weighted: the heaviest of the healthy (Route 53 draws one at random), else of all.
fn answer(records: &[ResourceRecordSet], healthy: impl Fn(&str) -> bool) -> Vec<String> {
    let usable = |record: &ResourceRecordSet| record.health_check_id.as_deref().is_none_or(&healthy);
    let with_role = |role: ResourceRecordSetFailover| {
        records
            .iter()
            .filter(|record| record.failover.as_ref() == Some(&role))
            .collect::<Vec<_>>()
    };
    let primary = with_role(ResourceRecordSetFailover::Primary);
    let secondary = with_role(ResourceRecordSetFailover::Secondary);
    let chosen = if primary.is_empty() && secondary.is_empty() {
        heaviest(records.iter().filter(|record| usable(record))).or_else(|| heaviest(records.iter()))
    } else {
        primary
            .iter()
            .copied()
            .chain(secondary.iter().copied())
            .find(|record| usable(record))
            .or_else(|| primary.first().copied())
            .or_else(|| secondary.first().copied())
    };
    chosen
        .into_iter()
        .flat_map(|record| record.resource_records())
        .map(|value| value.value.clone())
        .collect()
}

/// The record set of the greatest weight, the first of equals.
fn heaviest<'a>(of: impl Iterator<Item = &'a ResourceRecordSet>) -> Option<&'a ResourceRecordSet> {
    of.fold(None, |best: Option<&ResourceRecordSet>, next| match best {
        Some(best) if best.weight >= next.weight => Some(best),
        _ => Some(next),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_route53::types::ResourceRecord;

    use super::*;

    fn record(
        value: &str,
        check: Option<&str>,
    ) -> aws_sdk_route53::types::builders::ResourceRecordSetBuilder {
        ResourceRecordSet::builder()
            .name("orders.example.com.")
            .r#type(RrType::A)
            .set_health_check_id(check.map(str::to_owned))
            .resource_records(ResourceRecord::builder().value(value).build().unwrap())
    }

    fn failover() -> Vec<ResourceRecordSet> {
        vec![
            record("192.0.2.1", Some("hc"))
                .failover(ResourceRecordSetFailover::Primary)
                .build()
                .unwrap(),
            record("192.0.2.2", None)
                .failover(ResourceRecordSetFailover::Secondary)
                .build()
                .unwrap(),
        ]
    }

    #[test]
    fn failover_follows_the_health_of_the_primary() {
        assert_eq!(answer(&failover(), |_| true), ["192.0.2.1"]);
        assert_eq!(answer(&failover(), |_| false), ["192.0.2.2"]);
    }

    #[test]
    fn a_group_without_a_healthy_member_answers_as_if_all_were_healthy() {
        let mut records = failover();
        records[1].health_check_id = Some("other".to_owned());
        assert_eq!(answer(&records, |_| false), ["192.0.2.1"]);
        let weighted = [record("192.0.2.7", Some("hc")).weight(9).build().unwrap()];
        assert_eq!(answer(&weighted, |_| false), ["192.0.2.7"]);
    }

    #[test]
    fn no_record_is_no_answer() {
        assert!(answer(&[], |_| true).is_empty());
    }
}
