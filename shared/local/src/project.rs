//! Where things are: the project's root and its own folder for everything that is installed or left behind.

use std::path::{Path, PathBuf};

/// The project on disk.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
}

/// No project root was found.
#[derive(Debug, thiserror::Error)]
#[error("no Cargo workspace at or above `{0}`: run the command inside the project")]
pub struct NoProject(PathBuf);

impl Project {
    /// Finds the workspace at or above a folder: the nearest `Cargo.toml` with a `[workspace]` section.
    ///
    /// # Errors
    /// [`NoProject`] when there is none.
    pub fn find(from: &Path) -> Result<Self, NoProject> {
        from.ancestors()
            .find(|folder| {
                std::fs::read_to_string(folder.join("Cargo.toml"))
                    .is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
            })
            .map(|root| Self {
                root: root.to_owned(),
            })
            .ok_or_else(|| NoProject(from.to_owned()))
    }

    /// The project of the running command: where Cargo says the package is, or else the current folder.
    ///
    /// # Errors
    /// [`NoProject`] when neither lies in a workspace.
    pub fn of_this_process(env: impl Fn(&str) -> Option<String>) -> Result<Self, NoProject> {
        let from = env("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let from = from.or_else(|| std::env::current_dir().ok());
        Self::find(&from.unwrap_or_else(|| PathBuf::from(".")))
    }

    /// The workspace root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for what is installed and left behind; Git ignores it.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.root.join(".blackstart")
    }

    /// Makes a new folder for one start of the local AWS: `.blackstart/run-…`.
    ///
    /// # Errors
    /// The operating system's, when the folder cannot be made.
    pub fn new_run_folder(&self) -> std::io::Result<PathBuf> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder)?;
        let process = std::process::id();
        for number in 0_u32.. {
            let run = folder.join(format!("run-{process}-{number}"));
            match std::fs::create_dir(&run) {
                Ok(()) => return Ok(run),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(std::io::ErrorKind::AlreadyExists.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_workspace_is_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let member = root.join("shared/local");
        std::fs::create_dir_all(&member).unwrap();
        std::fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
        std::fs::write(member.join("Cargo.toml"), "[package]\nname = \"x\"\n").unwrap();
        assert_eq!(Project::find(&member).unwrap().root(), root);
    }

    #[test]
    fn no_run_folder_is_used_twice() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        let project = Project::find(folder.path()).unwrap();
        let first = project.new_run_folder().unwrap();
        assert_ne!(first, project.new_run_folder().unwrap());
    }
}
