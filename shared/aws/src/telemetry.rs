//! JSON logs for CloudWatch.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging: JSON, one line per event, with the fields of the surrounding span.
///
/// The level comes from `AWS_LAMBDA_LOG_LEVEL`, then `RUST_LOG`, then `info`. The Lambda runtime and the SDK are
/// capped at `info`: below it the runtime logs raw payloads, task tokens included.
pub fn start() {
    let level = crate::env::process("AWS_LAMBDA_LOG_LEVEL")
        .or_else(|| crate::env::process("RUST_LOG"))
        .unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::try_new(capped(&level)).unwrap_or_else(|_| EnvFilter::new(capped("info")));
    let layer = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    // A second start in one process (tests) keeps the first subscriber.
    drop(tracing_subscriber::registry().with(filter).with(layer).try_init());
}

fn capped(level: &str) -> String {
    let caps = [
        "lambda_runtime",
        "hyper",
        "hyper_util",
        "aws_config",
        "aws_runtime",
        "aws_smithy_runtime",
        "aws_sdk",
    ];
    let mut filter = level.to_lowercase();
    for target in caps {
        filter.push_str(&format!(",{target}=info"));
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::capped;

    #[test]
    fn the_runtime_is_capped_whatever_the_level() {
        for level in ["TRACE", "debug", "info"] {
            assert!(capped(level).contains("lambda_runtime=info"), "{level}");
        }
    }
}
