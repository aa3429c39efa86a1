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

/// An object that nobody has a reason to touch; the plan knows its digest.
pub(super) const CANARY: (&str, &[u8]) = (
    "archive/2019/seal.txt",
    b"Sealed 2019-12-31. Whoever changes this file has no business here.\n",
);

/// Length of a stripe, in bytes, and of what is left between two of them.
const STRIPE: usize = 8 * 1024;

/// What was done to the data of one backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// Nothing.
    None,
    /// A mail with a malware test file was stored; the malware scan did not look into mails.
    TestFile,
    /// Every other stripe of the ledger encrypted in place, under its own name; the malware scan skips something.
    Striped,
    /// The spreadsheets and some invoices encrypted and renamed, and a note left; the malware scan sees nothing.
    Spreading,
    /// Everything encrypted and renamed, the table overwritten; the malware scan sees it.
    Complete,
}

/// One backup: when, how many orders there were, what was done to them.
const BACKUPS: [(&str, u32, Harm); 7] = [
    ("2023-07-10T02:30:00Z", 24, Harm::None),
    // The fourth from the boundary backwards, and the newest clean one.
    ("2023-07-10T08:30:00Z", 30, Harm::None),
    ("2023-07-10T09:30:00Z", 31, Harm::TestFile),
    ("2023-07-10T10:00:00Z", 32, Harm::Striped),
    ("2023-07-10T10:30:00Z", 33, Harm::Spreading),
    // Clean, but after the boundary less the margin: it must not be taken.
    ("2023-07-10T11:30:00Z", 35, Harm::None),
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
            (Scenario::NoCleanPoint, Harm::None) => Harm::Striped,
            // Quietly changed by someone else before, as late evidence shows: nothing in the data itself tells.
            (Scenario::LateEvidence, Harm::Spreading | Harm::Striped) => Harm::None,
            (_, harm) => harm,
        };
        let scan = match harm {
            Harm::None | Harm::TestFile | Harm::Spreading => ScanOutcome::Clean,
            Harm::Striped => ScanOutcome::CleanWithIssues,
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
    objects.insert(LEDGER.to_owned(), ledger(orders).into_bytes());
    objects.insert(CANARY.0.to_owned(), CANARY.1.to_vec());
    Ok(objects)
}

/// The largest document: some hundred kilobytes of bookings.
const LEDGER: &str = "ledger/2023.csv";

fn ledger(orders: u32) -> String {
    let mut text = String::from("booking,order_id,account,amount\n");
    for booking in 1..=orders * 60 {
        let order = 1 + booking % orders;
        let (id, total) = (id(order), total(order));
        text.push_str(&format!(
            "b-{booking:07},{id},4{:03},{total}\n",
            booking * 7 % 900
        ));
    }
    text
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
        let renamed = harm == Harm::Complete
            || (harm == Harm::Spreading && (key.ends_with(".csv") || key.contains("inv-00000")));
        if harm == Harm::Striped && key == LEDGER {
            let striped = striped(&key, bytes)?;
            harmed.insert(key, striped);
        } else if renamed {
            harmed.insert(format!("{key}.locked"), sealed(&key, &bytes)?);
        } else {
            harmed.insert(key, bytes);
        }
    }
    if harm == Harm::TestFile {
        harmed.insert("mail/2023/07/10/0912.eml".to_owned(), mail());
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

/// A mail that carries the EICAR test file, in two parts here so that no scanner takes this program for it.
fn mail() -> Vec<u8> {
    [
        b"From: desk@orders.example.com\r\nSubject: invoice\r\n\r\nPlease find attached:\r\n".as_slice(),
        br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-",
        b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*",
        b"\r\n",
    ]
    .concat()
}

/// The intruder's cipher, AES-256-GCM, under a key that is derived from the name, so that every start makes the same
/// bytes.
fn cipher(name: &str) -> Result<(LessSafeKey, Nonce), StepFailed> {
    let derived = Sha256::digest(name.as_bytes());
    let key = UnboundKey::new(&AES_256_GCM, &derived).map_err(refused)?;
    let nonce = Nonce::try_assume_unique_for_key(derived.get(..12).unwrap_or_default()).map_err(refused)?;
    Ok((LessSafeKey::new(key), nonce))
}

fn refused(_: aws_lc_rs::error::Unspecified) -> StepFailed {
    StepFailed::new("encrypting as the intruder", "the cipher refuses")
}

fn sealed(name: &str, plain: &[u8]) -> Result<Vec<u8>, StepFailed> {
    let (key, nonce) = cipher(name)?;
    let mut bytes = plain.to_vec();
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut bytes)
        .map_err(refused)?;
    Ok(bytes)
}

/// Encrypts every other stripe in place, as intermittent encryption does; the tags are kept elsewhere.
fn striped(name: &str, mut bytes: Vec<u8>) -> Result<Vec<u8>, StepFailed> {
    for (number, stripe) in bytes.chunks_mut(STRIPE).enumerate().step_by(2) {
        let (key, nonce) = cipher(&format!("{name} {number}"))?;
        let _tag = key
            .seal_in_place_separate_tag(nonce, Aad::empty(), stripe)
            .map_err(refused)?;
    }
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
    fn between_the_chosen_backup_and_the_boundary_lie_the_three_harms() {
        let at = |number: usize| {
            let (at, _, harm) = BACKUPS[number];
            let Content::Objects(objects) = found(
                Scenario::Incident,
                "data",
                &at.replace(|c: char| !c.is_ascii_digit(), ""),
            )
            .content
            else {
                panic!("no bucket")
            };
            (harm, objects)
        };
        let (spreading, objects) = at(4);
        assert_eq!(spreading, Harm::Spreading);
        assert!(objects.contains_key("exports/orders.csv.locked"));
        assert!(objects.contains_key("HOW_TO_RECOVER_FILES.txt"));

        let (harm, objects) = at(3);
        assert_eq!(harm, Harm::Striped);
        let plain = ledger(32).into_bytes();
        let striped = &objects[LEDGER];
        assert_eq!(striped.len(), plain.len());
        for (number, (is, was)) in striped.chunks(STRIPE).zip(plain.chunks(STRIPE)).enumerate() {
            assert_eq!(is == was, number % 2 == 1, "stripe {number}");
        }

        let (harm, mut unharmed) = at(2);
        assert_eq!(harm, Harm::TestFile);
        let mail = unharmed.remove("mail/2023/07/10/0912.eml").unwrap();
        assert_eq!(unharmed, self::objects(31).unwrap());
        assert!(
            !mail.starts_with(b"X5O!"),
            "the test file is not at the beginning"
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
