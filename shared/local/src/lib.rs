//! The AWS that runs on a laptop: an emulator, a stand-in for what it lacks, and a small organisation in it.
//!
//! Test equipment. Nothing that is deployed knows that it exists: the functions reach everything by
//! `AWS_ENDPOINT_URL[_SERVICE]` alone.
#![warn(missing_docs)]

pub mod accounts;
pub mod adopted;
pub mod authority;
pub mod browser;
pub mod deploy;
pub mod edge;
pub mod front;
pub mod issuer;
pub mod leaks;
pub mod ministack;
pub mod organisation;
pub mod outside;
pub mod page;
pub mod project;
pub mod python;
pub mod standin;
pub mod step;

use std::path::{Path, PathBuf};

use aws_config::SdkConfig;

use crate::edge::Edge;
use crate::ministack::{Ministack, MinistackError};
use crate::project::Project;
use crate::python::{Python, PythonError};
use crate::standin::{StandIn, StandInError};

/// The whole local AWS, running. Everything ends when this value is dropped or its process ends.
#[derive(Debug)]
pub struct LocalAws {
    ministack: Ministack,
    standin: StandIn,
    edge: Edge,
    folder: PathBuf,
    python: Python,
}

/// The local AWS cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The programs are not there.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The emulator does not come up.
    #[error(transparent)]
    Ministack(#[from] MinistackError),
    /// The stand-in does not come up.
    #[error(transparent)]
    StandIn(#[from] StandInError),
    /// A port or folder is not to be had.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
}

/// The bucket of the new environment's web tier: its health document carries the run's nonce.
pub const WEB_BUCKET: &str = "orders-web-333333333333";
/// The key of that document.
pub const NONCE_KEY: &str = "health/nonce.txt";

impl LocalAws {
    /// Installs what is needed, and starts emulator, stand-in and load balancer on free loopback ports.
    ///
    /// With `enforce_policies` the emulator refuses what a role's policies do not allow.
    ///
    /// # Errors
    /// [`StartError`], with the end of the emulator's log where that says why.
    pub async fn start(project: &Project, enforce_policies: bool) -> Result<Self, StartError> {
        let io = |doing| move |source| StartError::Io { doing, source };
        let python = Python::install(project).await?;
        let folder = project.new_run_folder().map_err(io("making the run's folder"))?;
        let port = ministack::free_port().map_err(io("finding a free port"))?;
        let standin = StandIn::start(&format!("http://127.0.0.1:{port}"), enforce_policies).await?;
        let options = ministack::Options {
            folder: folder.clone(),
            enforce_policies,
            environment: standin.environment(),
        };
        let ministack = Ministack::start(&python, port, &options).await?;
        let edge = Edge::start(
            &ministack.endpoint(),
            WEB_BUCKET,
            NONCE_KEY,
            organisation::plan::HOST,
        )
        .await
        .map_err(io("starting the load balancer"))?;
        Ok(Self {
            ministack,
            standin,
            edge,
            folder,
            python,
        })
    }

    /// The emulator's address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.ministack.endpoint()
    }

    /// The emulator.
    #[must_use]
    pub fn ministack(&self) -> &Ministack {
        &self.ministack
    }

    /// The stand-in.
    #[must_use]
    pub fn standin(&self) -> &StandIn {
        &self.standin
    }

    /// The new environment's load balancer.
    #[must_use]
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The folder of this start: log, temporary files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The installed programs.
    #[must_use]
    pub fn python(&self) -> &Python {
        &self.python
    }

    /// Configuration of a client of the emulator that acts as the root of an account.
    #[must_use]
    pub fn root_of(&self, account: &str) -> SdkConfig {
        accounts::root_of(&self.endpoint(), account)
    }

    /// The same for the services that the stand-in answers.
    #[must_use]
    pub fn standin_root_of(&self, account: &str) -> SdkConfig {
        accounts::root_of(&self.standin.endpoint(), account)
    }

    /// The variables that send an AWS tool here, for `export` or a child process.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.standin.environment();
        environment.push(("AWS_ENDPOINT_URL".to_owned(), self.endpoint()));
        environment.push(("AWS_REGION".to_owned(), accounts::REGION.to_owned()));
        environment.push(("AWS_DEFAULT_REGION".to_owned(), accounts::REGION.to_owned()));
        environment.push(("AWS_ACCESS_KEY_ID".to_owned(), accounts::RECOVERY.to_owned()));
        environment.push(("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()));
        environment
    }

    /// Ends everything, waits until it has ended, and removes the temporary files. The log stays.
    pub async fn stop(self) {
        self.ministack.stop().await;
    }
}
