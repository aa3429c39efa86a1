//! The Python programs that the local AWS is made of, in a virtual environment inside the project's own folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use blackstart_core::artifact::Digest;
use tokio::process::Command;

use crate::project::Project;

/// The pinned programs and everything they pull in.
const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// Least Python that ministack runs on.
const MINIMUM_PYTHON: (u32, u32) = (3, 10);

/// A virtual environment that holds exactly the pinned programs.
#[derive(Debug, Clone)]
pub struct Python {
    folder: PathBuf,
}

/// The virtual environment cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// There is no Python.
    #[error("`python3` was not found: install Python {}.{} or later with its venv module", MINIMUM_PYTHON.0, MINIMUM_PYTHON.1)]
    Missing,
    /// Python is too old.
    #[error("`python3` is version {found}: {}.{} or later is needed", MINIMUM_PYTHON.0, MINIMUM_PYTHON.1)]
    TooOld {
        /// Its version.
        found: String,
    },
    /// A command ended badly.
    #[error("{doing} failed: {output}")]
    Command {
        /// What was being done.
        doing: &'static str,
        /// The end of what it printed.
        output: String,
    },
    /// A file or process could not be handled.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
}

impl Python {
    /// Makes the virtual environment `.blackstart/venv`, or takes it as it is when it was made from the same pins.
    ///
    /// Two processes that do this at once take turns.
    ///
    /// # Errors
    /// [`PythonError`] when Python is missing or too old, or when the installation fails.
    pub async fn install(project: &Project) -> Result<Self, PythonError> {
        let io = |doing| move |source| PythonError::Io { doing, source };
        let home = project.folder();
        std::fs::create_dir_all(&home).map_err(io("making the project's own folder"))?;
        let lock =
            std::fs::File::create(home.join("venv.lock")).map_err(io("opening the installation lock"))?;
        // Taken away from the runtime's own threads: another process may be installing for minutes.
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(|error| io("waiting for the installation lock")(std::io::Error::other(error)))?
            .map_err(io("waiting for the installation lock"))?;

        let folder = home.join("venv");
        let marker = folder.join("installed.sha256");
        let wanted = Digest::of(REQUIREMENTS.as_bytes());
        let installed = std::fs::read_to_string(&marker).is_ok_and(|found| found.trim() == wanted.as_str());
        if !installed {
            check_version().await?;
            tracing::info!(
                "installing the emulator and the deployment tool into {}",
                folder.display()
            );
            let requirements = home.join("requirements.txt");
            std::fs::write(&requirements, REQUIREMENTS).map_err(io("writing the list of requirements"))?;
            run(
                "making a Python virtual environment",
                Command::new("python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&folder),
            )
            .await?;
            run(
                "installing the pinned Python packages",
                Command::new(folder.join("bin/pip"))
                    .args([
                        "install",
                        "--quiet",
                        "--disable-pip-version-check",
                        "--no-input",
                        "--requirement",
                    ])
                    .arg(&requirements),
            )
            .await?;
            std::fs::write(&marker, wanted.as_str()).map_err(io("recording the installation"))?;
        }
        drop(lock);
        Ok(Self { folder })
    }

    /// A program of the virtual environment.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The folder of the virtual environment.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

async fn check_version() -> Result<(), PythonError> {
    let asked = Command::new("python3")
        .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                PythonError::Missing
            } else {
                PythonError::Io {
                    doing: "asking Python for its version",
                    source,
                }
            }
        })?;
    let found = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    let version = found
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    match version {
        Some(version) if version >= MINIMUM_PYTHON => Ok(()),
        _ => Err(PythonError::TooOld { found }),
    }
}

async fn run(doing: &'static str, command: &mut Command) -> Result<(), PythonError> {
    let ended = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| PythonError::Io { doing, source })?;
    if ended.status.success() {
        Ok(())
    } else {
        let mut output = ended.stdout;
        output.extend(ended.stderr);
        Err(PythonError::Command {
            doing,
            output: last_lines(&String::from_utf8_lossy(&output), 12),
        })
    }
}

/// The end of a program's output: where the reason stands.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned() {
        for line in REQUIREMENTS.lines().filter(|line| !line.starts_with('#')) {
            let (name, version) = line.split_once("==").expect(line);
            assert!(
                !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()),
                "{line}"
            );
        }
    }

    #[test]
    fn the_end_of_the_output_is_kept() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
