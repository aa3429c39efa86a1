//! Rules of EventBridge: patterns that wait for another account's events, and targets that lie in one.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{Rule, Target};
use blackstart_core::references::Form;
use serde_json::{Value, json};

use super::{Documents, Reading, Unread, bus};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let client = &Client::new(&documents.config);
    let mut rules = Vec::new();
    for bus in bus::list(documents, client).await? {
        let what = format!("listing the rules of `{}`", bus.arn);
        let mut token = None;
        loop {
            let page = client
                .list_rules()
                .event_bus_name(&bus.name)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
            let of_bus = page.rules.unwrap_or_default().into_iter();
            rules.extend(of_bus.map(|rule| (bus.name.clone(), rule)));
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
    }
    Ok(documents
        .each(rules, |(bus, rule)| async move {
            let arn = rule.arn.clone().unwrap_or_default();
            match targets(client, &bus, &rule).await {
                Ok(targets) => {
                    let targets: Vec<Value> = targets.iter().map(of_target).collect();
                    let text = json!({"EventPattern": rule.event_pattern, "Targets": targets}).to_string();
                    let kind = "AWS::Events::Rule";
                    vec![documents.configuration(kind, &documents.region, &arn, "", Form::Config, text)]
                }
                Err(error) => vec![Err(Unread {
                    what: format!("the targets of `{arn}`"),
                    error,
                })],
            }
        })
        .await)
}

async fn targets(client: &Client, bus: &str, rule: &Rule) -> Result<Vec<Target>, PortError> {
    let name = rule.name.as_deref().unwrap_or_default();
    let what = format!("listing the targets of rule `{name}`");
    let mut targets = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .list_targets_by_rule()
            .event_bus_name(bus)
            .rule(name)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        targets.extend(page.targets.unwrap_or_default());
        token = page.next_token;
        if token.is_none() {
            return Ok(targets);
        }
    }
}

fn of_target(target: &Target) -> Value {
    json!({
        "Arn": target.arn,
        "RoleArn": target.role_arn,
        "Input": target.input,
        "DeadLetter": target.dead_letter_config.as_ref().and_then(|it| it.arn.as_deref()),
    })
}
