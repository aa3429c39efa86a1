//! Route 53: records by compare-and-set, changes, health checks.

use aws_config::retry::RetryConfig;
use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ChangeStatus, HealthCheckConfig, HealthCheckType,
    ResourceRecord, ResourceRecordSet, ResourceRecordSetFailover, RrType,
};
use aws_smithy_types::error::operation::BuildError;
use blackstart_core::dns::{
    Alias, CheckerReport, RecordChange, RecordSet, TrafficChange, ZoneRecords, fully_qualified,
};

use crate::port::{Effect, PortError, classify};

/// Seconds between two requests of a checker: the shortest that Route 53 offers.
const CHECK_INTERVAL_SECONDS: i32 = 10;
/// Observations after which a checker changes its mind.
const CHECK_THRESHOLD: i32 = 1;

/// Route 53 of one account.
#[derive(Debug, Clone)]
pub struct Route53 {
    client: aws_sdk_route53::Client,
    /// Without retries of its own: whether a repeat is harmless is decided by whoever reads the records first.
    once: aws_sdk_route53::Client,
}

/// What the checkers ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckRequest<'a> {
    /// Makes a repeat find the same check. At most 64 characters.
    pub reference: &'a str,
    /// Address.
    pub address: &'a str,
    /// Port.
    pub port: u16,
    /// Path.
    pub path: &'a str,
    /// What the first 5,120 bytes of the answer must contain.
    pub search: &'a str,
    /// The name under which the checkers ask by HTTPS (SNI and `Host`), whatever certificate they are shown; by HTTP
    /// without one. Where the address is a name, Route 53 asks under that.
    pub https: Option<&'a str>,
}

impl Route53 {
    /// Route 53 under this configuration.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        let once = aws_sdk_route53::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .build();
        Self {
            client: aws_sdk_route53::Client::new(config),
            once: aws_sdk_route53::Client::from_conf(once),
        }
    }

    /// Every record set of a zone.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn records(&self, zone: &str) -> Result<ZoneRecords, PortError> {
        let mut found = ZoneRecords::default();
        let mut start: Option<(String, Option<RrType>, Option<String>)> = None;
        loop {
            let mut request = self.client.list_resource_record_sets().hosted_zone_id(zone);
            if let Some((name, record_type, identifier)) = start.take() {
                request = request
                    .start_record_name(name)
                    .set_start_record_type(record_type)
                    .set_start_record_identifier(identifier);
            }
            let page = request.send().await.map_err(|error| {
                classify(
                    format!("reading the records of zone `{zone}`"),
                    Effect::Read,
                    &error,
                )
            })?;
            for set in &page.resource_record_sets {
                match read_set(set) {
                    Some(record) => found.records.push(record),
                    None => {
                        found.other_routing.insert(fully_qualified(&set.name));
                    }
                }
            }
            match page.next_record_name {
                Some(name) if page.is_truncated => {
                    start = Some((name, page.next_record_type, page.next_record_identifier));
                }
                _ => return Ok(found),
            }
        }
    }

    /// Applies a change as one atomic batch and returns the id of the change. Fails when a record is not exactly as
    /// recorded.
    ///
    /// # Errors
    /// [`PortError`]; after [`PortError::OutcomeUnknown`] the records must be read before anything else.
    pub async fn apply(&self, change: &TrafficChange, comment: &str) -> Result<String, PortError> {
        let what = format!("changing the records of zone `{}`", change.zone);
        let mut batch = ChangeBatch::builder().comment(comment);
        for line in change.batch() {
            let (action, set) = match line {
                RecordChange::Delete(set) => (ChangeAction::Delete, set),
                RecordChange::Create(set) => (ChangeAction::Create, set),
            };
            let change = write_set(set)
                .and_then(|set| Change::builder().action(action).resource_record_set(set).build())
                .map_err(|error| unbuilt(&what, &error))?;
            batch = batch.changes(change);
        }
        let batch = batch.build().map_err(|error| unbuilt(&what, &error))?;
        let answer = self
            .once
            .change_resource_record_sets()
            .hosted_zone_id(&change.zone)
            .change_batch(batch)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Write, &error))?;
        answer
            .change_info
            .map(|info| info.id)
            .ok_or_else(|| PortError::OutcomeUnknown {
                what,
                why: "the answer names no change".to_owned(),
            })
    }

    /// The authoritative servers of a zone.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn name_servers(&self, zone: &str) -> Result<Vec<String>, PortError> {
        let answer = self
            .client
            .get_hosted_zone()
            .id(zone)
            .send()
            .await
            .map_err(|error| classify(format!("reading zone `{zone}`"), Effect::Read, &error))?;
        Ok(answer
            .delegation_set
            .map(|set| set.name_servers)
            .unwrap_or_default())
    }

    /// Whether a change has reached all authoritative servers.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn in_sync(&self, change: &str) -> Result<bool, PortError> {
        let answer = self
            .client
            .get_change()
            .id(change)
            .send()
            .await
            .map_err(|error| classify(format!("asking for change `{change}`"), Effect::Read, &error))?;
        Ok(answer
            .change_info
            .is_some_and(|info| info.status == ChangeStatus::Insync))
    }

    /// Creates a health check that looks for a text, and returns its id. A repeat with the same reference and
    /// settings finds the same check.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn create_check(&self, request: &CheckRequest<'_>) -> Result<String, PortError> {
        let what = "creating the health check";
        let address_is_name = request.address.parse::<std::net::IpAddr>().is_err();
        let config = HealthCheckConfig::builder()
            .r#type(if request.https.is_some() {
                HealthCheckType::HttpsStrMatch
            } else {
                HealthCheckType::HttpStrMatch
            })
            .set_enable_sni(request.https.map(|_| true))
            .port(i32::from(request.port))
            .resource_path(request.path)
            .search_string(request.search)
            .request_interval(CHECK_INTERVAL_SECONDS)
            .failure_threshold(CHECK_THRESHOLD);
        let config = if address_is_name {
            config.fully_qualified_domain_name(request.address)
        } else {
            // With an address beside it, the name is what the checkers put into SNI and `Host`.
            config
                .ip_address(request.address)
                .set_fully_qualified_domain_name(request.https.map(str::to_owned))
        };
        let config = config.build().map_err(|error| unbuilt(what, &error))?;
        let answer = self
            .client
            .create_health_check()
            .caller_reference(request.reference)
            .health_check_config(config)
            .send()
            .await
            .map_err(|error| classify(what, Effect::IdempotentWrite, &error))?;
        answer
            .health_check
            .map(|check| check.id)
            .ok_or_else(|| PortError::Transient {
                what: what.to_owned(),
                why: "the answer holds no health check".to_owned(),
            })
    }

    /// What the checkers last reported. Empty for a new check.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn check_reports(&self, check: &str) -> Result<Vec<CheckerReport>, PortError> {
        let answer = self
            .client
            .get_health_check_status()
            .health_check_id(check)
            .send()
            .await
            .map_err(|error| classify(format!("asking for health check `{check}`"), Effect::Read, &error))?;
        let reports = answer.health_check_observations.into_iter();
        Ok(reports
            .filter_map(|observation| {
                let status = observation.status_report?.status?;
                Some(CheckerReport {
                    region: observation
                        .region
                        .map_or_else(String::new, |region| region.as_str().to_owned()),
                    healthy: status.starts_with("Success"),
                })
            })
            .collect())
    }

    /// Deletes a health check; one that is gone already is as good.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn delete_check(&self, check: &str) -> Result<(), PortError> {
        let what = format!("deleting health check `{check}`");
        let answer = self
            .client
            .delete_health_check()
            .health_check_id(check)
            .send()
            .await;
        match answer.map_err(|error| classify(what, Effect::IdempotentWrite, &error)) {
            Ok(_) | Err(PortError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn unbuilt(what: &str, error: &BuildError) -> PortError {
    PortError::Refused {
        what: what.to_owned(),
        why: error.to_string(),
    }
}

/// The record set, or `None` when it carries a kind of routing that could not be written back.
fn read_set(set: &ResourceRecordSet) -> Option<RecordSet> {
    let other_routing = set.region.is_some()
        || set.geo_location.is_some()
        || set.geo_proximity_location.is_some()
        || set.cidr_routing_config.is_some()
        || set.multi_value_answer.is_some()
        || set.traffic_policy_instance_id.is_some();
    if other_routing {
        return None;
    }
    let values = set.resource_records.as_deref().unwrap_or_default();
    Some(RecordSet {
        name: fully_qualified(&set.name),
        record_type: set.r#type.as_str().to_owned(),
        set_identifier: set.set_identifier.clone(),
        failover: set.failover.as_ref().map(|role| role.as_str().to_owned()),
        weight: set.weight.map(u8::try_from).transpose().ok()?,
        ttl: set.ttl.map(u32::try_from).transpose().ok()?,
        values: values.iter().map(|record| record.value.clone()).collect(),
        alias: set.alias_target.as_ref().map(|target| Alias {
            zone: target.hosted_zone_id.clone(),
            name: target.dns_name.clone(),
            evaluate_target_health: target.evaluate_target_health,
        }),
        health_check: set.health_check_id.clone(),
    })
}

fn write_set(set: &RecordSet) -> Result<ResourceRecordSet, BuildError> {
    let values = set
        .values
        .iter()
        .map(|value| ResourceRecord::builder().value(value).build())
        .collect::<Result<Vec<_>, _>>()?;
    let alias = set
        .alias
        .as_ref()
        .map(|alias| {
            AliasTarget::builder()
                .hosted_zone_id(&alias.zone)
                .dns_name(&alias.name)
                .evaluate_target_health(alias.evaluate_target_health)
                .build()
        })
        .transpose()?;
    ResourceRecordSet::builder()
        .name(&set.name)
        .r#type(RrType::from(set.record_type.as_str()))
        .set_set_identifier(set.set_identifier.clone())
        .set_failover(set.failover.as_deref().map(ResourceRecordSetFailover::from))
        .set_weight(set.weight.map(i64::from))
        .set_ttl(set.ttl.map(i64::from))
        .set_resource_records((!values.is_empty()).then_some(values))
        .set_alias_target(alias)
        .set_health_check_id(set.health_check.clone())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<RecordSet> {
        let simple = RecordSet {
            name: "shop.example.com.".to_owned(),
            record_type: "A".to_owned(),
            set_identifier: None,
            failover: None,
            weight: None,
            ttl: Some(300),
            values: vec!["192.0.2.2".to_owned(), "192.0.2.1".to_owned()],
            alias: None,
            health_check: None,
        };
        let failover = RecordSet {
            set_identifier: Some("new".to_owned()),
            failover: Some("PRIMARY".to_owned()),
            weight: Some(7),
            health_check: Some("check".to_owned()),
            ..simple.clone()
        };
        let alias = RecordSet {
            ttl: None,
            values: Vec::new(),
            alias: Some(Alias {
                zone: "Z2".to_owned(),
                name: "lb.example.net.".to_owned(),
                evaluate_target_health: true,
            }),
            ..simple.clone()
        };
        vec![simple, failover, alias]
    }

    #[test]
    fn what_is_read_is_what_is_deleted() {
        for set in records() {
            assert_eq!(read_set(&write_set(&set).unwrap()), Some(set));
        }
    }

    #[test]
    fn routing_that_would_be_lost_is_not_read() {
        let simple = records().remove(0);
        let mut set = write_set(&simple).unwrap();
        set.multi_value_answer = Some(true);
        assert_eq!(read_set(&set), None);
        let mut set = write_set(&simple).unwrap();
        set.weight = Some(256);
        assert_eq!(read_set(&set), None);
    }
}
