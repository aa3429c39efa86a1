//! Cutting a listing into batches that Step Functions can hand to the children of a Distributed Map.

use super::Gap;
use super::facts::Kind;
use crate::plan::LogSource;
use crate::task::timeline::{Batch, BatchObject};

/// Bytes of objects, as stored, that one child reads.
const BYTES_PER_BATCH: u64 = 64 << 20;

/// Characters of keys in one item: a child's input may have 256 KiB (service quota), with its context.
const KEY_CHARACTERS_PER_BATCH: usize = 120_000;

/// Objects in one item.
const OBJECTS_PER_BATCH: usize = 500;

/// Children that one Distributed Map may have (service quota).
pub const BATCHES_PER_RUN: usize = 10_000;

/// Bucket, prefix and kind of a plan's log source.
#[must_use]
pub fn place(source: &LogSource) -> (&str, &str, Kind<'_>) {
    let kind = match source {
        LogSource::CloudTrail { .. } => Kind::CloudTrail,
        LogSource::GuardDuty { .. } => Kind::GuardDuty,
        LogSource::SecurityHub { .. } => Kind::SecurityHub,
        LogSource::VpcFlowLogs { fields, .. } => Kind::FlowLogs(fields),
        LogSource::Workload { format, .. } => Kind::Workload(format),
    };
    (source.bucket(), source.prefix(), kind)
}

/// What a listing says about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A log object.
    Log,
    /// Known not to be a log: a folder marker, a digest, an insight file.
    Other,
    /// Not recognised; a coverage gap, because it may hold records.
    Unknown(Gap),
}

/// Decides by its key whether an object of this source is to be read.
#[must_use]
pub fn listed(source: &LogSource, object: &BatchObject) -> Listed {
    const JSON: &[&str] = &[".json", ".json.gz", ".jsonl", ".jsonl.gz"];
    const FLOWS: &[&str] = &[".log.gz", ".log", ".gz", ".txt", ".parquet"];
    let (bucket, key) = (source.bucket(), object.key.as_str());
    if key.ends_with('/') || key.contains("/CloudTrail-Insight/") {
        return Listed::Other;
    }
    let endings = match source {
        LogSource::CloudTrail { digest_keys, .. } => {
            if key.contains("/CloudTrail-Digest/") && digest_keys.is_empty() {
                return Listed::Other;
            }
            JSON
        }
        LogSource::GuardDuty { .. } | LogSource::SecurityHub { .. } => JSON,
        LogSource::VpcFlowLogs { .. } => FLOWS,
        // CloudWatch Logs writes a note of permission beside its exports; everything else is the workload's.
        LogSource::Workload { .. } if key.ends_with("aws-logs-write-test") => return Listed::Other,
        LogSource::Workload { .. } => return Listed::Log,
    };
    if endings.iter().any(|ending| key.ends_with(ending)) {
        return Listed::Log;
    }
    Listed::Unknown(Gap {
        what: format!("s3://{bucket}/{}", super::facts::printable_up_to(key, 300)),
        reason: "was not read: its name is not that of a log object".to_owned(),
    })
}

/// Appends the batches of one source. Every object is in exactly one batch, in the order of the listing.
pub fn cut(into: &mut Vec<Batch>, source: u32, bucket: &str, objects: impl IntoIterator<Item = BatchObject>) {
    let start = into.len();
    let (mut bytes, mut characters) = (0_u64, 0_usize);
    for object in objects {
        let full = into.len() == start
            || bytes.saturating_add(object.bytes) > BYTES_PER_BATCH
            || characters + object.key.len() > KEY_CHARACTERS_PER_BATCH
            || into.last().is_some_and(|b| b.objects.len() >= OBJECTS_PER_BATCH);
        if full {
            (bytes, characters) = (0, 0);
            into.push(Batch {
                batch: u32::try_from(into.len()).unwrap_or(u32::MAX),
                source,
                bucket: bucket.to_owned(),
                objects: Vec::new(),
            });
        }
        bytes = bytes.saturating_add(object.bytes);
        characters += object.key.len();
        if let Some(batch) = into.last_mut() {
            batch.objects.push(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_object_is_in_exactly_one_batch_within_the_limits(
            sizes in proptest::collection::vec((0..100_u64 << 20, 1..1000_usize), 0..1500)
        ) {
            let objects: Vec<_> = sizes.iter().enumerate().map(|(i, (bytes, length))| BatchObject {
                key: format!("{i:0>length$}"), bytes: *bytes,
            }).collect();
            let mut batches = Vec::new();
            cut(&mut batches, 0, "b", objects.iter().take(700).cloned());
            cut(&mut batches, 1, "b", objects.iter().skip(700).cloned());
            let again: Vec<_> = batches.iter().flat_map(|b| b.objects.clone()).collect();
            prop_assert_eq!(again, objects);
            for (i, batch) in batches.iter().enumerate() {
                prop_assert_eq!(batch.batch as usize, i);
                prop_assert!(!batch.objects.is_empty());
                prop_assert!(serde_json::to_string(batch).unwrap().len() < 200_000);
                let bytes: u64 = batch.objects.iter().map(|o| o.bytes).sum();
                prop_assert!(batch.objects.len() == 1 || bytes <= BYTES_PER_BATCH);
            }
        }
    }

    #[test]
    fn only_what_is_known_not_to_be_a_log_is_passed_over() {
        let of_source = |source: &serde_json::Value, key: &str| {
            listed(
                &serde_json::from_value(source.clone()).unwrap(),
                &BatchObject {
                    key: key.to_owned(),
                    bytes: 1,
                },
            )
        };
        let trail = serde_json::json!({"kind": "cloudtrail", "bucket": "b"});
        let mut signed = trail.clone();
        signed["digest_keys"] = serde_json::json!([{"fingerprint": "f", "value": "v"}]);
        let flows = serde_json::json!({"kind": "vpc_flow_logs", "bucket": "b"});
        let digest = "AWSLogs/1/CloudTrail-Digest/us-east-1/x.json.gz";
        assert_eq!(of_source(&signed, digest), Listed::Log);
        assert_eq!(of_source(&flows, "AWSLogs/1/vpcflowlogs/x.log.gz"), Listed::Log);
        assert!(matches!(of_source(&flows, "AWSLogs/1/x.zip"), Listed::Unknown(_)));
        let of = |key: &str| of_source(&trail, key);
        assert_eq!(
            of("AWSLogs/1/CloudTrail/us-east-1/2026/01/01/x.json.gz"),
            Listed::Log
        );
        assert_eq!(
            of("AWSLogs/1/CloudTrail-Digest/us-east-1/x.json.gz"),
            Listed::Other
        );
        assert_eq!(of("AWSLogs/1/CloudTrail/"), Listed::Other);
        assert!(matches!(of("AWSLogs/1/CloudTrail/x.zip"), Listed::Unknown(_)));
    }
}
