//! The `orders` workload of the old account: its data over time, and what the intruder made of it.

use std::collections::BTreeMap;
use std::io::Write as _;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{Timestamp, ToSpan};
use sha2::{Digest as _, Sha256};

use super::Scenario;
use crate::accounts::{OLD, RECOVERY, REGION};
use crate::standin::{Content, RecoveryPoint, ScanOutcome, Table};
use crate::step::{Doing, StepFailed};

/// Vault with the recovery points, in the recovery account, shared with validation and rebuild.
pub const VAULT: &str = "orders-vault";
/// The old account's bucket.
pub const BUCKET: &str = "orders-data";
/// The old account's table.
pub const TABLE: &str = "orders";
/// Partition key of the table.
pub const KEY: &str = "order_id";

/// What was done to the data of one backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// Nothing.
    None,
    /// One document encrypted in place under its own name; the malware scan skips it.
    Quiet,
    /// The spreadsheets encrypted and renamed, and a note left; the malware scan sees nothing.
    Spreading,
    /// Everything encrypted and renamed, the table overwritten; the malware scan sees it.
    Complete,
}

/// One backup: when, how many orders there were, what was done to them.
const BACKUPS: [(&str, u32, Harm); 6] = [
    ("2023-07-10T02:30:00Z", 24, Harm::None),
    ("2023-07-10T08:30:00Z", 30, Harm::None),
    ("2023-07-10T10:30:00Z", 33, Harm::Quiet),
    // Clean, but after the boundary less the margin: it must not be taken.
    ("2023-07-10T11:30:00Z", 35, Harm::None),
    ("2023-07-10T12:10:00Z", 36, Harm::Spreading),
    ("2023-07-10T12:30:00Z", 36, Harm::Complete),
];

/// Number of orders in the newest backup that is clean and precedes the boundary.
const EXPECTED_ORDERS: u32 = 30;

/// What a correct restore brings back.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Objects by key.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Items by key.
    pub items: BTreeMap<String, BTreeMap<String, AttributeValue>>,
}

/// The data that a correct restore brings back.
///
/// # Errors
/// [`StepFailed`] when an object cannot be made.
pub fn expected() -> Result<Expected, StepFailed> {
    let items = items(EXPECTED_ORDERS);
    Ok(Expected {
        objects: objects(EXPECTED_ORDERS)?,
        items: items.into_iter().map(|(order, item)| (id(order), item)).collect(),
    })
}

/// The recovery points of the workload: one of the bucket and one of the table, five minutes apart, per backup.
///
/// # Errors
/// [`StepFailed`] when an object cannot be made.
pub fn recovery_points(scenario: Scenario) -> Result<Vec<RecoveryPoint>, StepFailed> {
    let mut points = Vec::new();
    for (at, orders, harm) in BACKUPS {
        let created: Timestamp = at.parse().doing("reading the time of a backup")?;
        let harm = match (scenario, harm) {
            (Scenario::NoCleanPoint, Harm::None) => Harm::Quiet,
            (_, harm) => harm,
        };
        let scan = match harm {
            Harm::None | Harm::Spreading => ScanOutcome::Clean,
            Harm::Quiet => ScanOutcome::CleanWithIssues,
            Harm::Complete => ScanOutcome::Threats,
        };
        let compact: String = at.chars().filter(char::is_ascii_digit).collect();
        let point = |kind: &str, resource: String, created: Timestamp, content, scan| RecoveryPoint {
            arn: format!("arn:aws:backup:{REGION}:{RECOVERY}:recovery-point:orders-{kind}-{compact}"),
            vault: VAULT.to_owned(),
            resource,
            status: "COMPLETED".to_owned(),
            initiated: created - 1.minute(),
            created,
            completed: Some(created + 2.minutes()),
            deleted_at: None,
            content,
            scan,
        };
        points.push(point(
            "data",
            format!("arn:aws:s3:::{BUCKET}"),
            created,
            Content::Objects(harmed_objects(objects(orders)?, harm)?),
            scan,
        ));
        points.push(point(
            "table",
            format!("arn:aws:dynamodb:{REGION}:{OLD}:table/{TABLE}"),
            created + 5.minutes(),
            Content::Table(Table {
                partition_key: KEY.to_owned(),
                items: items(orders)
                    .into_iter()
                    .map(|(order, item)| harmed_item(order, item, harm))
                    .collect::<Result<_, _>>()?,
            }),
            ScanOutcome::Clean,
        ));
    }
    Ok(points)
}

fn id(order: u32) -> String {
    format!("ord-{order:06}")
}

/// The sum of an order. A table keeps it in cents: DynamoDB would drop the final zero of `17.50`.
fn cents(order: u32) -> u32 {
    1700 + (order * 3713) % 40_000
}

fn total(order: u32) -> String {
    format!("{}.{:02}", cents(order) / 100, cents(order) % 100)
}

const CUSTOMERS: [&str; 6] = [
    "Ødegård AS",
    "Brøndby Cykler",
    "Lamport & Søn",
    "Hopper Ltd",
    "Noether GmbH",
    "Curie SARL",
];

fn customer(order: u32) -> &'static str {
    let index = usize::try_from(order).unwrap_or_default() % CUSTOMERS.len();
    CUSTOMERS.get(index).copied().unwrap_or_default()
}

/// Documents of several kinds: text, JSON, and two kinds that look like noise and are none.
fn objects(orders: u32) -> Result<BTreeMap<String, Vec<u8>>, StepFailed> {
    let mut objects = BTreeMap::new();
    let mut sheet = String::from("order_id,customer,total,status\n");
    for order in 1..=orders {
        let (id, customer, total) = (id(order), customer(order), total(order));
        sheet.push_str(&format!("{id},{customer},{total},shipped\n"));
        let invoice = serde_json::json!({
            "invoice": format!("inv-{order:06}"),
            "order": id,
            "customer": customer,
            "total": total,
            "lines": [{"article": format!("A-{}", 100 + order % 9), "quantity": 1 + order % 4}],
        });
        let invoice = serde_json::to_vec_pretty(&invoice).doing("writing an invoice")?;
        objects.insert(format!("invoices/2023/07/inv-{order:06}.json"), invoice);
    }
    objects.insert("exports/orders.csv.gz".to_owned(), gzip(sheet.as_bytes())?);
    objects.insert("images/logo.png".to_owned(), logo());
    objects.insert(
        "readme.txt".to_owned(),
        b"Data of the order desk. Invoices by month, a nightly export, and the logo for letters.\n".to_vec(),
    );
    objects.insert("exports/orders.csv".to_owned(), sheet.into_bytes());
    Ok(objects)
}

/// A gzip member.
///
/// # Errors
/// [`StepFailed`] when compression fails.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>, StepFailed> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor
        .gzip_compress(bytes, &mut out)
        .map_err(|error| StepFailed::new("compressing", format!("{error:?}")))?;
    out.truncate(length);
    Ok(out)
}

/// A picture of 64 by 64 grey pixels.
fn logo() -> Vec<u8> {
    let mut rows = Vec::new();
    for row in 0_u8..64 {
        rows.push(0);
        rows.extend((0_u8..64).map(|column| row.wrapping_mul(5) ^ column.wrapping_mul(3)));
    }
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut data = vec![0; compressor.zlib_compress_bound(rows.len())];
    let length = compressor.zlib_compress(&rows, &mut data).unwrap_or_default();
    data.truncate(length);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap_or_default();
        let named = [kind.as_slice(), body].concat();
        png.extend(length.to_be_bytes());
        png.extend(&named);
        png.extend(libdeflater::crc32(&named).to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0, 64, 0, 0, 0, 64, 8, 0, 0, 0, 0]);
    chunk(b"IDAT", &data);
    chunk(b"IEND", &[]);
    png
}

fn items(orders: u32) -> BTreeMap<u32, BTreeMap<String, AttributeValue>> {
    (1..=orders)
        .map(|order| {
            let item = [
                (KEY, AttributeValue::S(id(order))),
                ("customer", AttributeValue::S(customer(order).to_owned())),
                ("total", AttributeValue::N(cents(order).to_string())),
                ("status", AttributeValue::S("shipped".to_owned())),
                ("express", AttributeValue::Bool(order % 3 == 0)),
            ];
            (order, item.map(|(name, value)| (name.to_owned(), value)).into())
        })
        .collect()
}

const NOTE: &str = "ALL YOUR FILES HAVE BEEN ENCRYPTED.\nTo get them back pay 4 BTC and write to the address below.\n\
                    Do not rename the files. Your key is deleted after 72 hours.\n";

fn harmed_objects(
    clean: BTreeMap<String, Vec<u8>>,
    harm: Harm,
) -> Result<BTreeMap<String, Vec<u8>>, StepFailed> {
    let mut harmed = BTreeMap::new();
    for (key, bytes) in clean {
        let in_place = harm == Harm::Quiet && key.ends_with("inv-000007.json");
        let renamed = harm == Harm::Complete
            || (harm == Harm::Spreading && (key.ends_with(".csv") || key.contains("inv-00000")));
        if in_place {
            let sealed = sealed(&key, &bytes)?;
            harmed.insert(key, sealed);
        } else if renamed {
            harmed.insert(format!("{key}.locked"), sealed(&key, &bytes)?);
        } else {
            harmed.insert(key, bytes);
        }
    }
    if matches!(harm, Harm::Spreading | Harm::Complete) {
        harmed.insert("HOW_TO_RECOVER_FILES.txt".to_owned(), NOTE.as_bytes().to_vec());
    }
    Ok(harmed)
}

fn harmed_item(
    order: u32,
    item: BTreeMap<String, AttributeValue>,
    harm: Harm,
) -> Result<BTreeMap<String, AttributeValue>, StepFailed> {
    if harm != Harm::Complete {
        return Ok(item);
    }
    let mut plain = Vec::new();
    write!(plain, "{item:?}").doing("reading an item")?;
    let sealed = sealed(&id(order), &plain)?;
    Ok([
        (KEY, AttributeValue::S(id(order))),
        ("payload", AttributeValue::B(sealed.into())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into())
}

/// Encrypts with AES-256-GCM under a key that is derived from the name, so that every start makes the same bytes.
fn sealed(name: &str, plain: &[u8]) -> Result<Vec<u8>, StepFailed> {
    let failed = |_| StepFailed::new("encrypting as the intruder", "the cipher refuses");
    let derived = Sha256::digest(name.as_bytes());
    let key = UnboundKey::new(&AES_256_GCM, &derived).map_err(failed)?;
    let nonce = Nonce::try_assume_unique_for_key(derived.get(..12).unwrap_or_default()).map_err(failed)?;
    let mut bytes = plain.to_vec();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(scenario: Scenario, kind: &str, at: &str) -> RecoveryPoint {
        recovery_points(scenario)
            .unwrap()
            .into_iter()
            .find(|point| point.arn.ends_with(&format!("orders-{kind}-{at}")))
            .unwrap()
    }

    #[test]
    fn the_expected_set_is_the_newest_clean_one_an_hour_before_the_first_hostile_call() {
        let first_hostile_call: Timestamp = "2023-07-10T11:54:33Z".parse().unwrap();
        let (_, orders, _) = BACKUPS
            .into_iter()
            .rfind(|(at, _, harm)| {
                let table: Timestamp = at.parse::<Timestamp>().unwrap() + 7.minutes();
                *harm == Harm::None && table < first_hostile_call - 1.hour()
            })
            .unwrap();
        assert_eq!(orders, EXPECTED_ORDERS);
        let Content::Objects(objects) = found(Scenario::Incident, "data", "20230710083000").content else {
            panic!("no bucket")
        };
        assert_eq!(objects, expected().unwrap().objects);
    }

    #[test]
    fn encrypted_objects_are_renamed_noise() {
        let Content::Objects(objects) = found(Scenario::Incident, "data", "20230710123000").content else {
            panic!("no bucket")
        };
        let (key, bytes) = objects
            .iter()
            .find(|(key, _)| key.ends_with(".csv.locked"))
            .unwrap();
        assert!(!bytes.starts_with(b"order_id"), "{key}");
        assert!(objects.contains_key("HOW_TO_RECOVER_FILES.txt"));
        assert!(
            objects
                .keys()
                .all(|key| key.ends_with(".locked") || key.ends_with(".txt"))
        );
    }

    #[test]
    fn without_a_clean_point_every_backup_is_harmed() {
        for point in recovery_points(Scenario::NoCleanPoint).unwrap() {
            if let Content::Objects(objects) = point.content {
                assert!(objects != self::objects(24).unwrap() && objects != self::objects(30).unwrap());
            }
        }
    }
}
