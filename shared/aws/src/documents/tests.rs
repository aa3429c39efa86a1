use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use serde_json::{Value, json};

use super::*;
use crate::signed::testing::{Asked, Wire};

const ACCOUNT: &str = "555555555555";

fn documents(wire: &Wire) -> Documents {
    let account = AccountId::try_from(ACCOUNT.to_owned()).unwrap();
    let connector: SharedHttpConnector = wire.connector();
    let config = wire.config();
    Documents {
        signed: Signed::over(&config, connector),
        ..Documents::new(config, account, "aws", vec!["111111111111".to_owned()])
    }
}

async fn read(
    service: &str,
    answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
) -> Vec<Reading> {
    let wire = Wire::new(answer);
    documents(&wire)
        .read(Service::named(service).unwrap())
        .await
        .unwrap()
}

/// Name and text of everything that was read.
fn seen(read: &[Reading]) -> Vec<(String, String)> {
    read.iter()
        .map(|one| match one {
            Ok(Observed::Document { slot, text }) => (slot.arn.clone(), text.clone().unwrap_or_default()),
            Ok(Observed::Configuration(one)) => {
                (format!("{}#{}", one.resource.name, one.part), one.text.clone())
            }
            Err(unread) => (unread.what.clone(), unread.error.to_string()),
        })
        .collect()
}

#[tokio::test]
async fn cloud_control_reads_every_page_and_every_part_that_the_row_names() {
    let read = read("logs-destinations", |asked| {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body["TypeName"], "AWS::Logs::Destination");
        let answer = if asked.target.ends_with("ListResources") {
            match body.get("NextToken") {
                None => json!({"ResourceDescriptions": [{"Identifier": "one"}], "NextToken": "2"}),
                Some(_) => {
                    json!({"ResourceDescriptions": [{"Identifier": "gone"}, {"Identifier": "denied"}]})
                }
            }
        } else {
            match body["Identifier"].as_str().unwrap() {
                "one" => json!({"ResourceDescription": {"Identifier": "one", "Properties": json!({
                    "Arn": "arn:aws:logs:eu-west-1:555555555555:destination:one",
                    "DestinationPolicy": "{\"Statement\":[]}", "TargetArn": "arn:aws:kinesis:::stream/s",
                }).to_string()}}),
                "gone" => return (400, json!({"__type": "ResourceNotFoundException"}).to_string()),
                _ => {
                    return (
                        400,
                        json!({"__type": "AccessDeniedException", "Message": "no"}).to_string(),
                    );
                }
            }
        };
        (200, answer.to_string())
    })
    .await;
    let mut seen = seen(&read);
    seen.sort();
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "arn:aws:logs:eu-west-1:555555555555:destination:one#policy",
            "arn:aws:logs:eu-west-1:555555555555:destination:one#target",
            "reading AWS::Logs::Destination `denied`",
        ]
    );
    assert_eq!(seen[0].1, "{\"Statement\":[]}");
}

#[tokio::test]
async fn a_service_that_refuses_is_an_error_and_not_an_empty_list() {
    for service in blackstart_core::references::services::SERVICES {
        let wire = Wire::new(|_| {
            let json = json!({"__type": "AccessDeniedException", "message": "no"}).to_string();
            (403, json)
        });
        let outcome = documents(&wire).read(service).await;
        assert!(
            matches!(outcome, Err(PortError::Refused { .. })),
            "{}: {outcome:?}",
            service.name
        );
    }
}

#[tokio::test]
async fn what_is_shared_is_asked_by_account_and_read_to_the_last_page() {
    let read = read("ec2-sharing", |asked| {
        assert!(asked.body.contains("Owner.1=self"));
        let xml = if asked.body.contains("DescribeSnapshots") && !asked.body.contains("NextToken") {
            assert!(asked.body.contains("RestorableBy.1=111111111111"));
            "<r><snapshotSet><item><snapshotId>snap-1</snapshotId></item></snapshotSet><nextToken>n</nextToken></r>"
        } else if asked.body.contains("DescribeSnapshots") {
            "<r><snapshotSet><item><snapshotId>snap-2</snapshotId></item></snapshotSet></r>"
        } else {
            assert!(asked.body.contains("ExecutableBy.1=111111111111"));
            "<r><imagesSet/></r>"
        };
        (200, xml.to_owned())
    })
    .await;
    let names: Vec<String> = seen(&read).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "arn:aws:ec2:eu-west-1:555555555555:snapshot/snap-1#create-volume-permission",
            "arn:aws:ec2:eu-west-1:555555555555:snapshot/snap-2#create-volume-permission",
        ]
    );
}

#[tokio::test]
async fn functions_are_read_with_versions_and_aliases_and_without_statement_ids() {
    let function = "arn:aws:lambda:eu-west-1:555555555555:function:f";
    let read = read("lambda-functions", move |asked| {
        let answer = if asked.uri.contains("/aliases") {
            json!({"Aliases": [{"AliasArn": format!("{function}:live")}]})
        } else if asked.uri.contains("/policy") {
            if asked.uri.contains("live") {
                return (404, json!({"__type": "ResourceNotFoundException"}).to_string());
            }
            let policy = json!({"Statement": [{"Sid": "x", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction"}]});
            json!({"Policy": policy.to_string(), "RevisionId": "1"})
        } else {
            json!({"Functions": [{"FunctionArn": format!("{function}:$LATEST"), "Version": "$LATEST",
                "Layers": [{"Arn": "arn:aws:lambda:eu-west-1:111111111111:layer:l:1"}]}]})
        };
        (200, answer.to_string())
    })
    .await;
    let seen = seen(&read);
    assert_eq!(seen[0].0, function);
    assert!(!seen[0].1.contains("Sid"), "{}", seen[0].1);
    assert_eq!(seen[1].0, format!("{function}#configuration"));
    assert!(seen[1].1.contains("111111111111"));
    assert_eq!(seen[2], (format!("{function}:live"), String::new()));
}
