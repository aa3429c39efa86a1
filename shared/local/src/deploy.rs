//! Building the functions and deploying the project's own template into the recovery account.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use crate::LocalAws;
use crate::accounts::{RECOVERY, REGION};
use crate::project::Project;
use crate::python::last_lines;
use crate::step::{Doing, StepFailed};

/// Name of the stack.
pub const STACK: &str = "blackstart";

/// What the stack gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The stack's outputs by name.
    pub outputs: BTreeMap<String, String>,
}

impl Deployed {
    /// One output.
    ///
    /// # Errors
    /// [`StepFailed`] when the template has no such output.
    pub fn output(&self, name: &str) -> Result<&str, StepFailed> {
        self.outputs
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| StepFailed::new("reading the stack's outputs", format!("there is no `{name}`")))
    }
}

/// One line of Cargo's JSON messages, as far as it matters here.
#[derive(Debug, Deserialize)]
struct CargoMessage {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<CargoTarget>,
}

#[derive(Debug, Deserialize)]
struct CargoTarget {
    name: String,
}

/// Builds every function, in the caller's own profile, and lays it out as `target/lambda/NAME/bootstrap`, where the
/// template looks for it. Returns the names.
///
/// # Errors
/// [`StepFailed`] with the end of Cargo's output.
pub async fn build_functions(project: &Project) -> Result<Vec<String>, StepFailed> {
    let step = "building the functions";
    let mut names = Vec::new();
    for folder in std::fs::read_dir(project.root().join("functions")).doing(step)? {
        let folder = folder.doing(step)?;
        if folder.path().join("Cargo.toml").is_file() {
            names.push(folder.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();

    let mut cargo = Command::new("cargo");
    cargo
        // The whole workspace: a selection of packages could have other features, and build the SDK again.
        .args(["build", "--workspace", "--bins", "--quiet"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(project.root());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .doing(step)?;
    if !built.status.success() {
        let output = last_lines(&String::from_utf8_lossy(&built.stderr), 20);
        return Err(StepFailed::new(step, output));
    }
    let executables = executables(&built.stdout);
    for name in &names {
        let executable = executables
            .get(name)
            .ok_or_else(|| StepFailed::new(step, format!("package `{name}` has no binary `{name}`")))?;
        lay_out(executable, &project.root().join("target/lambda").join(name)).await?;
    }
    Ok(names)
}

fn executables(messages: &[u8]) -> BTreeMap<String, PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<CargoMessage>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| Some((message.target?.name, message.executable?)))
        .collect()
}

/// Copies a binary without its debug information, which would only make the package large.
async fn lay_out(executable: &Path, folder: &Path) -> Result<(), StepFailed> {
    let step = || format!("laying out {}", folder.display());
    std::fs::create_dir_all(folder).doing(step())?;
    let bootstrap = folder.join("bootstrap");
    let newer =
        |a: &Path, b: &Path| Some(a.metadata().ok()?.modified().ok()? > b.metadata().ok()?.modified().ok()?);
    if newer(&bootstrap, executable) == Some(true) {
        return Ok(());
    }
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(&bootstrap)
        .arg(executable)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await
        .is_ok_and(|status| status.success());
    if !stripped {
        std::fs::copy(executable, &bootstrap).doing(step())?;
    }
    Ok(())
}

/// Deploys a template into the recovery account with `sam deploy`.
///
/// # Errors
/// [`StepFailed`] with the end of the tool's output.
pub async fn deploy(
    local: &LocalAws,
    template: &Path,
    parameters: &[(&str, String)],
) -> Result<Deployed, StepFailed> {
    let step = "deploying the template";
    let home = local.folder().join("sam");
    std::fs::create_dir_all(&home).doing(step)?;
    // The tool would ask the package registry for its newest version once a week.
    let now = jiff::Timestamp::now().as_second();
    let metadata = serde_json::json!({"telemetryEnabled": false, "lastVersionCheck": now});
    std::fs::write(home.join("metadata.json"), metadata.to_string()).doing(step)?;

    let mut sam = Command::new(local.python().program("sam"));
    sam.arg("deploy")
        .arg("--template-file")
        .arg(template)
        .args(["--stack-name", STACK, "--region", REGION, "--resolve-s3"])
        .args(["--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])
        .args([
            "--no-confirm-changeset",
            "--no-progressbar",
            "--no-fail-on-empty-changeset",
        ])
        .current_dir(&home)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(local.environment())
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .env("LANG", "C.UTF-8")
        .env("SAM_CLI_TELEMETRY", "0")
        .env("SAM_CLI_POLL_DELAY", "0.5")
        .env("__SAM_CLI_APP_DIR", &home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if !parameters.is_empty() {
        sam.arg("--parameter-overrides");
        // One argument of the form key=value each; the tool's own quoting keeps commas in a value together.
        sam.args(parameters.iter().map(|(name, value)| format!("{name}={value}")));
    }
    let ended = sam.output().await.doing(step)?;
    if !ended.status.success() {
        let mut output = ended.stdout;
        output.extend(ended.stderr);
        let output = last_lines(&String::from_utf8_lossy(&output), 25);
        return Err(StepFailed::new(step, output));
    }
    let stacks = aws_sdk_cloudformation::Client::new(&local.root_of(RECOVERY))
        .describe_stacks()
        .stack_name(STACK)
        .send()
        .await
        .doing("reading the stack's outputs")?
        .stacks
        .unwrap_or_default();
    let outputs = stacks
        .into_iter()
        .flat_map(|stack| stack.outputs.unwrap_or_default())
        .filter_map(|output| Some((output.output_key?, output.output_value?)))
        .collect();
    Ok(Deployed { outputs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_binaries_are() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"lib"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"intake"},"executable":"/t/debug/intake"}
{"reason":"build-finished","success":true}"#;
        let found = executables(messages);
        assert_eq!(
            found,
            BTreeMap::from([("intake".to_owned(), PathBuf::from("/t/debug/intake"))])
        );
    }
}
