//! Route 53 health checks: asked for real, over HTTP, as the checkers do.

use std::time::Duration;

use aws_sdk_route53::types::{HealthCheckConfig, HealthCheckType};
use jiff::Timestamp;

use super::{Shared, unverified};
use crate::accounts::root_of;

/// Where checkers stand, and the address that each reports: documentation addresses.
const CHECKERS: [(&str, &str); 8] = [
    ("us-east-1", "192.0.2.11"),
    ("us-east-1", "192.0.2.12"),
    ("us-west-1", "192.0.2.21"),
    ("us-west-2", "192.0.2.31"),
    ("eu-west-1", "192.0.2.41"),
    ("ap-southeast-1", "192.0.2.51"),
    ("ap-northeast-1", "192.0.2.61"),
    ("sa-east-1", "192.0.2.71"),
];

/// A checker looks for the search string in this many bytes.
const SEARCHED_BYTES: usize = 5120;
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// What the stand-in remembers of a health check.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Observed {
    /// Whether any checker has looked yet. Until then the check counts as healthy.
    pub(super) looked: bool,
}

/// What one checker saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) region: &'static str,
    pub(super) address: &'static str,
    pub(super) status: String,
    pub(super) healthy: bool,
    pub(super) at: Timestamp,
}

/// What the checkers say: nothing yet for a fresh check. `None` when the account has no such check.
pub(super) async fn observations(shared: &Shared, account: &str, check: &str) -> Option<Vec<Observation>> {
    let client = aws_sdk_route53::Client::new(&root_of(&shared.emulator, account));
    let found = client
        .get_health_check()
        .health_check_id(check)
        .send()
        .await
        .ok()?;
    let config = found.health_check?.health_check_config?;
    let fresh = {
        let mut state = shared.control.state();
        let observed = state.checks.entry(format!("{account}/{check}")).or_default();
        !std::mem::replace(&mut observed.looked, true)
    };
    if fresh {
        return Some(Vec::new());
    }
    let (status, reachable) = ask(&shared.http, &config).await;
    let healthy = reachable != config.inverted.unwrap_or_default();
    let at = Timestamp::now();
    let seen = CHECKERS.map(|(region, address)| Observation {
        region,
        address,
        status: status.clone(),
        healthy,
        at,
    });
    Some(seen.to_vec())
}

/// Whether Route 53 counts the check as healthy: fresh, or more than 18 % of its checkers say so.
pub(super) fn counts_as_healthy(seen: &[Observation]) -> bool {
    let healthy = seen.iter().filter(|observation| observation.healthy).count();
    seen.is_empty() || healthy * 100 > seen.len() * 18
}

/// One look at the endpoint: the text of the report, and whether it is a success.
async fn ask(http: &reqwest::Client, config: &HealthCheckConfig) -> (String, bool) {
    let failure = |why: String| (format!("Failure: {why}"), false);
    if config.disabled == Some(true) {
        return ("Success: the health check is disabled".to_owned(), true);
    }
    let secure = config.r#type == HealthCheckType::HttpsStrMatch;
    let searched = if config.r#type == HealthCheckType::Http {
        None
    } else if secure || config.r#type == HealthCheckType::HttpStrMatch {
        config.search_string.clone()
    } else {
        return failure(format!("the stand-in has no checkers of type {}", config.r#type));
    };
    let Some(host) = config
        .ip_address
        .as_deref()
        .or(config.fully_qualified_domain_name.as_deref())
    else {
        return failure("The health check has neither address nor name".to_owned());
    };
    let path = config.resource_path.as_deref().unwrap_or("/");
    if secure {
        let name = config.fully_qualified_domain_name.as_deref().unwrap_or(host);
        let port = config.port.unwrap_or(443);
        let asked = unverified::get(host, u16::try_from(port).unwrap_or_default(), name, path);
        return match tokio::time::timeout(CONNECT_WITHIN + ANSWER_WITHIN, asked).await {
            Ok(Ok((status, body))) => judged(status, &body, searched.as_deref()),
            Ok(Err(error)) => failure(format!("The endpoint is not reachable: {error}")),
            Err(_) => failure("The endpoint did not answer in time.".to_owned()),
        };
    }
    let mut request = http
        .get(format!("http://{host}:{}{path}", config.port.unwrap_or(80)))
        .timeout(CONNECT_WITHIN + ANSWER_WITHIN);
    if let Some(name) = &config.fully_qualified_domain_name {
        request = request.header(reqwest::header::HOST, name);
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) if error.is_connect() => {
            return failure("Connection refused. The endpoint is not reachable.".to_owned());
        }
        Err(_) => return failure("The endpoint did not answer in time.".to_owned()),
    };
    let status = answer.status().as_u16();
    match answer.bytes().await {
        Ok(body) => judged(status, &body, searched.as_deref()),
        Err(_) => failure("The endpoint broke off.".to_owned()),
    }
}

/// What a checker says of an answer.
fn judged(status: u16, body: &[u8], searched: Option<&str>) -> (String, bool) {
    if !(200..400).contains(&status) {
        return (format!("Failure: HTTP Status Code {status}."), false);
    }
    let seen = body.get(..SEARCHED_BYTES.min(body.len())).unwrap_or_default();
    if searched.is_none_or(|searched| contains(seen, searched.as_bytes())) {
        return (format!("Success: HTTP Status Code {status}"), true);
    }
    let why = format!("the search string was not found in the first {SEARCHED_BYTES} bytes");
    (format!("Failure: HTTP Status Code {status}, but {why}."), false)
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(healthy: usize, of: usize) -> Vec<Observation> {
        (0..of)
            .map(|i| Observation {
                region: "us-east-1",
                address: "192.0.2.1",
                status: String::new(),
                healthy: i < healthy,
                at: Timestamp::UNIX_EPOCH,
            })
            .collect()
    }

    #[test]
    fn more_than_18_percent_make_a_check_healthy() {
        assert!(counts_as_healthy(&seen(0, 0)), "fresh");
        assert!(!counts_as_healthy(&seen(0, 16)));
        assert!(!counts_as_healthy(&seen(18, 100)));
        assert!(counts_as_healthy(&seen(19, 100)));
    }

    #[test]
    fn a_search_string_is_found_anywhere() {
        assert!(contains(b"run-7", b"run-7"));
        assert!(contains(b"<p>run-7</p>", b"run-7"));
        assert!(!contains(b"run-8", b"run-7"));
        assert!(contains(b"", b""));
    }
}
