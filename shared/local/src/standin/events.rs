//! Time and events of AWS Backup: jobs end although nobody looks, and EventBridge is told, in a best-effort manner.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shared;
use super::backup::scan_state;
use super::caller::arn;
use super::restore;
use crate::accounts::root_of;
use crate::step::told;

/// After this long a job has ended by itself.
const JOBS_TAKE: Duration = Duration::from_millis(900);

/// Ends a restore job in its time, and tells. The event comes twice, as EventBridge may deliver it ("at least once").
pub(super) fn let_restore_end(shared: Arc<Shared>, id: String, account: String) {
    if !shared.control.state().tells {
        return;
    }
    tokio::spawn(async move {
        // A restore says `state` here and `status` in every later event.
        let created = json!({"restoreJobId": id, "state": "CREATED"});
        tell(&shared, &account, "Restore Job State Change", &created).await;
        tokio::time::sleep(JOBS_TAKE).await;
        let Some(status) = restore::end(&shared, &id).await else {
            return;
        };
        let ended = json!({
            "restoreJobId": id, "backupSizeInBytes": "0", "creationDate": Timestamp::now().to_string(),
            "percentDone": 0, "status": status,
        });
        for _ in 0..2 {
            tell(&shared, &account, "Restore Job State Change", &ended).await;
        }
    });
}

/// The same of a scan job, which says `state` always.
pub(super) fn let_scan_end(shared: Arc<Shared>, id: String, account: String) {
    if !shared.control.state().tells {
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(JOBS_TAKE).await;
        let state = {
            let mut state = shared.control.state();
            let Some(job) = state.scans.get_mut(&id) else {
                return;
            };
            job.polls = job.polls.max(2);
            scan_state(job, 3).0
        };
        let ended =
            json!({"accountId": account, "scanJobId": id, "malwareScanner": "GUARDDUTY", "state": state});
        tell(&shared, &account, "Scan Job State Change", &ended).await;
    });
}

/// Puts an event on the account's own bus, where its rules are. What is not delivered is lost.
async fn tell(shared: &Shared, account: &str, kind: &str, detail: &Value) {
    let entry = PutEventsRequestEntry::builder()
        .source("aws.backup")
        .detail_type(kind)
        .resources(arn("backup", account, "backup-vault:any"))
        .detail(detail.to_string())
        .build();
    let client = aws_sdk_eventbridge::Client::new(&root_of(&shared.emulator, account));
    if let Err(error) = client.put_events().entries(entry).send().await {
        tracing::warn!("an event is lost: {}", told(&error));
    }
}
