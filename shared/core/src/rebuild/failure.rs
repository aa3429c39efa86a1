//! Why a stack was not created: the first real cause among its events.

use jiff::Timestamp;

/// One event of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackEvent {
    /// When it happened.
    pub at: Timestamp,
    /// Event id; orders events of one instant.
    pub id: String,
    /// Logical id of the resource; the stack's own name for the stack itself.
    pub logical_id: String,
    /// Resource type.
    pub resource_type: String,
    /// Status, for example `CREATE_FAILED`.
    pub status: String,
    /// Why, in CloudFormation's words.
    pub reason: Option<String>,
}

/// The event that explains a failure, as one sentence: the earliest failure of a resource that is not a
/// consequence of another failure.
///
/// Events may come in any order. `None` if none of them is a failure. The text contains foreign words and is escaped.
#[must_use]
pub fn first_cause(events: &[StackEvent]) -> Option<String> {
    let mut failures: Vec<&StackEvent> = events
        .iter()
        .filter(|event| event.status.ends_with("_FAILED") || event.status == "ROLLBACK_IN_PROGRESS")
        .collect();
    failures.sort_by_key(|event| (rank(event), event.at, event.id.as_str()));
    let event = failures.first()?;
    Some(format!(
        "`{}` ({}) is {}: {}",
        event.logical_id.escape_debug(),
        event.resource_type.escape_debug(),
        event.status.escape_debug(),
        event.reason.as_deref().map_or_else(
            || "no reason given".to_owned(),
            |reason| reason.escape_debug().to_string()
        )
    ))
}

/// Causes before consequences: a resource that failed by itself, then nested stacks and the stack itself, which only
/// repeat what failed in them, then resources that were given up because another failed.
fn rank(event: &StackEvent) -> u8 {
    let reason = event.reason.as_deref().unwrap_or_default();
    let given_up = reason.starts_with("Resource creation cancelled")
        || reason.starts_with("Resource creation Cancelled")
        || reason.starts_with("Resource update cancelled");
    match (given_up, event.resource_type.as_str()) {
        (true, _) => 2,
        (false, "AWS::CloudFormation::Stack") => 1,
        (false, _) => 0,
    }
}
