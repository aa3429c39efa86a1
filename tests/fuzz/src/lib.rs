//! What must hold for any bytes. One function per fuzz target; each panics when its property is broken.
//!
//! The same functions replay the seeds and the regressions in the ordinary test suite of `blackstart-core`, so
//! nothing here needs a fuzzer. A new target is a function here, two lines in `targets/`, its name in `Cargo.toml`
//! and in [`TARGETS`], and a folder of seeds under `corpus/`.

mod logs;
mod references;

pub use logs::{any, cloudtrail, flow_logs, guardduty, workload};
pub use references::{references_prove, references_rewrite, references_scan};

/// A property of any bytes; it panics when it is broken.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("any", any),
    ("cloudtrail", cloudtrail),
    ("flow_logs", flow_logs),
    ("guardduty", guardduty),
    ("references-prove", references_prove),
    ("references-rewrite", references_rewrite),
    ("references-scan", references_scan),
    ("workload", workload),
];
