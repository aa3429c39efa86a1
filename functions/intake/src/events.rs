//! Events of AWS Backup: *look now* for the states that wait for trials, and nothing else.
//!
//! They come from the accounts in which trials are restored, so they may be made up by whoever rules those. Nothing is read of
//! one but the id of a job; no run is opened, and no outcome is believed.

use blackstart_aws::callbacks::Callbacks;
use blackstart_aws::records::Records;
use blackstart_aws::tokens::Cipher;
use blackstart_aws::trial_waits::{Heard, TrialWaits, WaitError};
use blackstart_core::error_name::error_chain;
use blackstart_core::validation::wait::job_of;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Whether this is an event as EventBridge delivers it, and no task of a state machine.
#[must_use]
pub fn is_event(payload: &Value) -> bool {
    payload.get("detail-type").is_some() && payload.get("input").is_none()
}

/// Ends the wait for the job that the event is about. What came of it, for who invokes the function by hand.
///
/// # Errors
/// [`WaitError`]; the wait then ends in its own time.
pub async fn hear<R: Records, C: Cipher, B: Callbacks>(
    event: &Value,
    waits: &TrialWaits<R, C, B>,
    now: Timestamp,
) -> Result<Value, WaitError> {
    let job = match job_of(event) {
        Ok(job) => job,
        Err(strange) => {
            tracing::warn!(reason = %error_chain(&strange), "the event is not heard");
            return Ok(json!({"heard": "no_job"}));
        }
    };
    let heard = waits.heard(job, now).await?;
    tracing::info!(job, ?heard, "an event of AWS Backup");
    Ok(json!({"heard": match heard {
        Heard::Woken => "woken",
        Heard::NobodyWaits => "nobody_waits",
        Heard::UnknownJob => "unknown_job",
    }}))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use blackstart_aws::callbacks::Delivery;
    use blackstart_aws::port::PortError;
    use blackstart_aws::records::memory::MemoryRecords;
    use blackstart_aws::tokens::memory::MemoryCipher;
    use blackstart_core::run::RunId;
    use blackstart_core::task::approval::TaskToken;
    use blackstart_core::validation::wait::TrialOfJob;

    use super::*;

    #[derive(Debug, Default)]
    struct Answered(Mutex<Vec<(String, String)>>);

    impl Callbacks for Answered {
        async fn succeed(&self, token: &TaskToken, output: String) -> Result<Delivery, PortError> {
            let mut answered = self.0.lock().unwrap();
            answered.push((token.expose().to_owned(), output));
            Ok(Delivery::Taken)
        }
    }

    fn event(id: &Value, status: &str) -> Value {
        json!({
            "version": "0", "source": "aws.backup", "detail-type": "Restore Job State Change",
            "account": "222222222222", "detail": {"restoreJobId": id, "status": status},
        })
    }

    #[test]
    fn a_task_is_no_event_whatever_else_it_holds() {
        assert!(is_event(&event(&json!("a"), "COMPLETED")));
        let task = json!({"context": {}, "input": {"operation": "open"}, "detail-type": "x"});
        assert!(!is_event(&task));
    }

    /// An event that claims success and one that claims failure do the same.
    #[tokio::test(flavor = "current_thread")]
    async fn an_event_says_look_now_and_no_more() {
        for claimed in ["COMPLETED", "FAILED", "ABORTED", "nonsense"] {
            let waits = TrialWaits {
                records: MemoryRecords::default(),
                cipher: MemoryCipher,
                callbacks: Answered::default(),
            };
            let trial = TrialOfJob {
                run: RunId::try_from("orders-0a1b2c3d4e5f".to_owned()).unwrap(),
                set: "a".to_owned(),
            };
            let token = TaskToken::new("secret".to_owned());
            let now = Timestamp::UNIX_EPOCH;
            waits.listen(&trial, "1", &token, &["JOB-1"], now).await.unwrap();
            let strange = event(&json!({"operation": "open"}), claimed);
            assert_eq!(
                hear(&strange, &waits, now).await.unwrap(),
                json!({"heard": "no_job"})
            );
            let unknown = event(&json!("JOB-2"), claimed);
            assert_eq!(
                hear(&unknown, &waits, now).await.unwrap(),
                json!({"heard": "unknown_job"})
            );
            let known = event(&json!("JOB-1"), claimed);
            assert_eq!(
                hear(&known, &waits, now).await.unwrap(),
                json!({"heard": "woken"})
            );
            assert_eq!(
                hear(&known, &waits, now).await.unwrap(),
                json!({"heard": "nobody_waits"})
            );
            let answered = waits.callbacks.0.lock().unwrap();
            assert_eq!(*answered, [("secret".to_owned(), "{}".to_owned())], "{claimed}");
        }
    }
}
