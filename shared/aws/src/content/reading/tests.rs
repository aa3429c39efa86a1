use super::*;
use crate::signed::testing::Wire;

/// A bucket with these objects; the status and body of each.
async fn bucket(objects: &'static [(&'static str, u16, &'static str)]) -> Result<Content, PortError> {
    let wire = Wire::new(move |asked| {
        if asked.uri.contains("list-type=2") {
            let keys: String = objects
                .iter()
                .map(|(key, ..)| format!("<Contents><Key>{key}</Key></Contents>"))
                .collect();
            return (200, format!("<ListBucketResult>{keys}</ListBucketResult>"));
        }
        objects
            .iter()
            .find(|(key, ..)| asked.uri.contains(&format!("/{key}?")))
            .map_or((404, String::new()), |(_, status, body)| {
                (*status, (*body).to_owned())
            })
    });
    let reader = ContentReader::new(&wire.config(), None);
    let resource: Resource = serde_json::from_value(
        json!({"id": "files", "type": "S3", "arn": "arn:aws:s3:::files", "restore_to": "restored"}),
    )
    .unwrap();
    reader.read(&resource, "restored", &[]).await
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_named_with_the_reason_and_never_clean() {
    const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>no key</Message></Error>";
    const FROZEN: &str = "<Error><Code>InvalidObjectState</Code><Message>archived</Message></Error>";
    const BROKEN: &str = "<Error><Code>InternalError</Code><Message>again</Message></Error>";
    for (status, body, why) in [
        (403, DENIED, "AccessDenied"),
        (403, FROZEN, "InvalidObjectState"),
        (404, "", "404"),
        (500, BROKEN, "InternalError"),
    ] {
        let objects: &'static [(&str, u16, &str)] = Box::leak(Box::new([
            ("a.txt", 200, "order;total"),
            ("lost.txt", status, body),
        ]));
        let content = bucket(objects).await.unwrap();
        assert_eq!(content.scan.verdict, Verdict::Unknown, "{status}");
        let reasons = content.scan.reasons.join("\n");
        assert!(
            reasons.contains("`lost.txt`: it cannot be read: ") && reasons.contains(why),
            "{status}: {reasons}"
        );
        assert!(
            reasons.contains("1 entries, 11 bytes read, 1 unreadable"),
            "{reasons}"
        );
        assert!(!content.manifest.entries.contains_key("lost.txt"));
    }
}

#[tokio::test]
async fn a_bucket_that_cannot_be_listed_is_an_error_and_not_an_empty_one() {
    let wire = Wire::new(|_| (403, "<Error><Code>AccessDenied</Code></Error>".to_owned()));
    let reader = ContentReader::new(&wire.config(), None);
    let resource: Resource = serde_json::from_value(
        json!({"id": "files", "type": "S3", "arn": "arn:aws:s3:::files", "restore_to": "restored"}),
    )
    .unwrap();
    let refused = reader.read(&resource, "restored", &[]).await;
    assert!(matches!(refused, Err(PortError::Refused { .. })), "{refused:?}");
}

#[tokio::test]
async fn objects_without_bytes_are_never_clean_by_accident() {
    let content = bucket(&[("a/", 200, ""), ("b.docx", 200, "")]).await.unwrap();
    assert_eq!(content.scan.verdict, Verdict::Unknown);
    assert!(
        content
            .scan
            .reasons
            .iter()
            .any(|reason| reason.starts_with("`b.docx`: it is empty"))
    );
    assert!(
        content
            .scan
            .reasons
            .iter()
            .any(|reason| reason.contains("none of the 2 entries holds a byte"))
    );
    let content = bucket(&[("a/", 200, ""), ("b.txt", 200, "order")]).await.unwrap();
    assert_eq!(content.scan.verdict, Verdict::Clean);
}

#[test]
fn the_order_within_a_set_does_not_change_an_item() {
    let set = |members: [&str; 2]| {
        attribute(&AttributeValue::M(
            [(
                "colours".to_owned(),
                AttributeValue::Ss(members.map(str::to_owned).to_vec()),
            )]
            .into(),
        ))
    };
    assert_eq!(set(["red", "blue"]), set(["blue", "red"]));
    assert_eq!(
        set(["red", "blue"]).to_string(),
        r#"{"M":{"colours":{"SS":["blue","red"]}}}"#
    );
}
