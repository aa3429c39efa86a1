//! What a drill leaves on this machine: its reports, and the durations that later ones compare themselves with.

use std::path::{Path, PathBuf};

use blackstart_core::error_name::error_chain;
use blackstart_core::report::Report;
use blackstart_core::report::trend::RunDurations;
use blackstart_local::project::Project;

use super::evidence;
use super::play::{DrillFailed, Execution, Stage};

/// The public half of the key that signed the evidence, beside it.
pub(super) const KEY: &str = "evidence-key.pem";

/// Durations of the drills whose reports are still on this machine. What cannot be read is of another version.
pub(super) fn earlier_drills(project: &Project) -> Vec<RunDurations> {
    let Ok(folders) = std::fs::read_dir(project.folder().join("reports")) else {
        return Vec::new();
    };
    folders
        .filter_map(|folder| std::fs::read(folder.ok()?.path().join("report.json")).ok())
        .filter_map(|bytes| serde_json::from_slice::<Report>(&bytes).ok())
        .filter_map(|report| {
            let conclusion = report.conclusion?;
            Some(RunDurations::of(&report.run, conclusion, &report.critical_path))
        })
        .collect()
}

pub(super) async fn save_report(
    stage: &Stage,
    project: &Project,
    execution: &Execution,
) -> Result<PathBuf, DrillFailed> {
    let folder = project.folder().join("reports").join(execution.run.as_str());
    let io = |error: std::io::Error| DrillFailed::Call {
        doing: "saving the report",
        cause: error_chain(&error),
    };
    std::fs::create_dir_all(&folder).map_err(io)?;
    for (path, bytes) in stage.artifact_files(&execution.run).await? {
        write(&folder.join(path), &bytes).map_err(io)?;
    }
    if let Some((bundle, key)) = stage.evidence(&execution.run).await? {
        write(&folder.join(evidence::BUNDLE), &bundle).map_err(io)?;
        write(&folder.join(KEY), key.pem().as_bytes()).map_err(io)?;
    }
    Ok(folder)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)
}
