//! What the name of a delivered object says: account, region, and time.
//!
//! Names by the user guides of CloudTrail ("Finding your CloudTrail log files"), VPC ("Publish flow logs to Amazon
//! S3", also with Hive-compatible prefixes) and GuardDuty ("Exporting findings").

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Where and when an object was delivered, as far as its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery<'k> {
    /// Account whose activity it holds.
    pub account: &'k str,
    /// Region.
    pub region: &'k str,
    /// Beginning of the time that the name gives: a minute, an hour or a day.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// What delivered it: `CloudTrail`, `CloudTrail-Digest`, `vpcflowlogs`, `GuardDuty`.
    pub service: &'k str,
}

const SERVICES: &[&str] = &["CloudTrail", "CloudTrail-Digest", "vpcflowlogs", "GuardDuty"];

/// Reads the name of an object: the key, or a path or `s3://` name that ends with the key.
#[must_use]
pub fn parse(name: &str) -> Option<Delivery<'_>> {
    by_file_name(name).or_else(|| by_path(name))
}

/// `ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.gz`, `ACCOUNT_vpcflowlogs_REGION_fl-ID_YYYYMMDDTHHmmZ_HASH.log.gz`,
/// `ACCOUNT_CloudTrail-Digest_REGION_TRAIL_HOME_YYYYMMDDTHHmmssZ.json.gz`.
fn by_file_name(name: &str) -> Option<Delivery<'_>> {
    let file = name.rsplit('/').next()?;
    let mut parts = file.split('_');
    let (account, service, region) = (parts.next()?, parts.next()?, parts.next()?);
    if !is_account(account) || !SERVICES.contains(&service) || region.is_empty() {
        return None;
    }
    let from = parts.find_map(minute)?;
    Some(Delivery {
        account,
        region,
        from,
        to: later(from, SignedDuration::from_mins(1))?,
        service,
    })
}

/// `…/AWSLogs/ACCOUNT/SERVICE/REGION/YYYY/MM/DD/…`, or Hive's `aws-account-id=ACCOUNT/aws-service=SERVICE/…`.
fn by_path(name: &str) -> Option<Delivery<'_>> {
    let parts: Vec<&str> = name
        .split('/')
        .map(|part| part.split_once('=').map_or(part, |(_, value)| value))
        .collect();
    let service = parts.iter().position(|part| SERVICES.contains(part))?;
    let part = |offset: usize| parts.get(service + offset).copied();
    let account = parts.get(service.checked_sub(1)?).copied()?;
    if !is_account(account) {
        return None;
    }
    let number = |offset: usize| part(offset).and_then(|text| text.parse::<i8>().ok());
    let year = part(2)?.parse::<i16>().ok()?;
    let (month, day) = (number(3)?, number(4)?);
    let hour = number(5).filter(|_| part(5).is_some_and(|text| text.len() == 2));
    let from = DateTime::new(year, month, day, hour.unwrap_or(0), 0, 0, 0)
        .ok()
        .and_then(|at| TimeZone::UTC.to_timestamp(at).ok())?;
    let length = if hour.is_some() { 1 } else { 24 };
    Some(Delivery {
        account,
        region: part(1)?,
        from,
        to: later(from, SignedDuration::from_hours(length))?,
        service: part(0)?,
    })
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `20260102T0304Z` or `20260102T030405Z`, with whatever ends a file name after it.
fn minute(text: &str) -> Option<Timestamp> {
    let text = text.split('.').next()?;
    let digits = text.strip_suffix('Z')?;
    let (date, time) = digits.split_once('T')?;
    if date.len() != 8 || !matches!(time.len(), 4 | 6) {
        return None;
    }
    let number = |text: &str, from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
    let year = date.get(..4)?.parse::<i16>().ok()?;
    let second = if time.len() == 6 { number(time, 4, 6)? } else { 0 };
    DateTime::new(
        year,
        number(date, 4, 6)?,
        number(date, 6, 8)?,
        number(time, 0, 2)?,
        number(time, 2, 4)?,
        second,
        0,
    )
    .ok()
    .and_then(|at| TimeZone::UTC.to_timestamp(at).ok())
}

fn later(from: Timestamp, by: SignedDuration) -> Option<Timestamp> {
    from.checked_add(by).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_names() {
        for (name, account, region, from, minutes) in [
            (
                "s3://logs/p/AWSLogs/o-abc/111122223333/CloudTrail/us-east-2/2026/01/02/111122223333_CloudTrail_us-east-2_20260102T0304Z_Mu0KsOhtH1ar15ZZ.json.gz",
                "111122223333",
                "us-east-2",
                "2026-01-02T03:04:00Z",
                1,
            ),
            (
                "111122223333_CloudTrail-Digest_us-east-2_your_trail_us-east-2_20150817T150131Z.json.gz",
                "111122223333",
                "us-east-2",
                "2015-08-17T15:01:31Z",
                1,
            ),
            (
                "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/06/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20260620T1620Z_fe123456.log.gz",
                "123456789012",
                "us-east-1",
                "2026-06-20T16:20:00Z",
                1,
            ),
            (
                "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/year=2026/month=06/day=20/hour=16/x.log.gz",
                "123456789012",
                "us-east-1",
                "2026-06-20T16:00:00Z",
                60,
            ),
            (
                "AWSLogs/123456789012/GuardDuty/eu-central-1/2026/06/20/0a1b2c.jsonl.gz",
                "123456789012",
                "eu-central-1",
                "2026-06-20T00:00:00Z",
                1440,
            ),
        ] {
            let found = parse(name).unwrap();
            assert_eq!((found.account, found.region), (account, region), "{name}");
            assert_eq!(found.from.to_string(), from, "{name}");
            assert_eq!(found.to.duration_since(found.from).as_mins(), minutes, "{name}");
        }
    }

    #[test]
    fn other_names_say_nothing() {
        for name in [
            "",
            "x.json.gz",
            "111122223333_CloudTrail_us-east-2_20261302T0304Z_x.json.gz",
            "1_CloudTrail_us-east-2_20260102T0304Z_x.json.gz",
            "a/CloudTrail/us-east-1/2026/01/02/x",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_name_never_panics(name in "(\\PC|/|_|=|CloudTrail|111122223333|20260102T0304Z){0,30}") {
            let _ = parse(&name);
        }
    }
}
