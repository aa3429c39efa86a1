//! The emulator as a child process.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};

use crate::accounts::{RECOVERY, REGION};
use crate::python::{Python, last_lines};

const LAUNCHER: &str = include_str!("../launcher.py");
const CORRECTIONS: &str = include_str!("../corrections.py");

/// The file by which the launcher is asked to kill the cutover function.
const CRASH_REQUEST: &str = "crash-requested";

/// How long the emulator may take to answer its health check, on a machine that is busy compiling.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How to start the emulator.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of this start: log, temporary files, unpacked functions.
    pub folder: PathBuf,
    /// Whether policies are enforced, so that a missing permission shows.
    pub enforce_policies: bool,
    /// Further variables, for the functions too: `AWS_ENDPOINT_URL_<SERVICE>` of the stand-in.
    pub environment: Vec<(String, String)>,
}

/// The emulator cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum MinistackError {
    /// No free port, or no process.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// It ended at once.
    #[error("the emulator ended with {status} before it answered: {log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// It does not answer.
    #[error("the emulator did not answer on port {port} within {} s: {log}", START_WITHIN.as_secs())]
    Silent {
        /// Its port.
        port: u16,
        /// The end of its log.
        log: String,
    },
}

/// A running emulator. It ends, with every function it runs, when this value is dropped or its process ends.
#[derive(Debug)]
pub struct Ministack {
    child: Child,
    /// Never written to: closing it, which the end of this process does too, ends the emulator.
    lifeline: Option<ChildStdin>,
    port: u16,
    log: PathBuf,
    tokens: PathBuf,
    folder: PathBuf,
}

/// A free port on the loopback interface, as of now.
///
/// # Errors
/// The operating system's, when it has none.
pub fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

impl Ministack {
    /// Starts the emulator on this port and waits until it answers.
    ///
    /// # Errors
    /// [`MinistackError`] when it does not come up; the message holds the end of its log.
    pub async fn start(python: &Python, port: u16, options: &Options) -> Result<Self, MinistackError> {
        let io = |doing| move |source| MinistackError::Io { doing, source };
        let temporary = options.folder.join("tmp");
        std::fs::create_dir_all(&temporary).map_err(io("making the emulator's folder"))?;
        let launcher = options.folder.join("launcher.py");
        std::fs::write(&launcher, LAUNCHER).map_err(io("writing the emulator's launcher"))?;
        std::fs::write(options.folder.join("corrections.py"), CORRECTIONS)
            .map_err(io("writing the emulator's corrections"))?;
        let log = options.folder.join("ministack.log");
        let output = std::fs::File::create(&log).map_err(io("opening the emulator's log"))?;
        let errors = output.try_clone().map_err(io("opening the emulator's log"))?;

        let tokens = options.folder.join("task-tokens");
        std::fs::write(&tokens, "").map_err(io("making the record of task tokens"))?;

        let endpoint = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(python.program("python3"));
        command
            .arg(&launcher)
            .arg(&tokens)
            .arg(options.folder.join(CRASH_REQUEST))
            .current_dir(&options.folder)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", &options.folder)
            .env("TMPDIR", &temporary)
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            // Listeners on every interface that nothing here needs.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            // Waits between two polls and before retries take a tenth of their time; deadlines keep theirs.
            .env("SFN_WAIT_SCALE", "0.1")
            .env("MINISTACK_ACCOUNT_ID", RECOVERY)
            .env("MINISTACK_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AUTH", if options.enforce_policies { "true" } else { "false" })
            .env("S3_DATA_DIR", temporary.join("s3"))
            .env("STATE_DIR", temporary.join("state"))
            .envs(options.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(io("starting the emulator"))?;
        let lifeline = child.stdin.take();
        let mut started = Self {
            child,
            lifeline,
            port,
            log,
            tokens,
            folder: options.folder.clone(),
        };
        started.wait_until_healthy().await?;
        Ok(started)
    }

    async fn wait_until_healthy(&mut self) -> Result<(), MinistackError> {
        let client = reqwest::Client::new();
        let health = format!("{}/_ministack/health", self.endpoint());
        let healthy = async {
            loop {
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(status);
                }
                if let Ok(answer) = client.get(&health).send().await
                    && answer.status().is_success()
                {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let ended = tokio::time::timeout(START_WITHIN, healthy).await;
        let log = || last_lines(&std::fs::read_to_string(&self.log).unwrap_or_default(), 12);
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(MinistackError::Ended { status, log: log() }),
            Err(_) => Err(MinistackError::Silent {
                port: self.port,
                log: log(),
            }),
        }
    }

    /// Where it listens, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its log: what it says itself, and what the functions print before they are up.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Every task token that it has given out, and whether a person is to answer it. Outside of it and the ledger's sealed
    /// copies none may be found.
    ///
    /// # Errors
    /// The operating system's, when the record cannot be read.
    pub fn task_tokens(&self) -> std::io::Result<Vec<(bool, String)>> {
        let tokens = std::fs::read_to_string(&self.tokens)?;
        let given = tokens.lines().filter_map(|line| line.split_once(' '));
        Ok(given
            .map(|(who, token)| (who == "people", token.to_owned()))
            .collect())
    }

    /// Has the cutover function killed after its next change of a trust policy, before it hears that it succeeded.
    ///
    /// # Errors
    /// The operating system's, when the request cannot be left.
    pub fn crash_cutover_once(&self) -> std::io::Result<()> {
        std::fs::write(self.folder.join(CRASH_REQUEST), "")
    }

    /// Whether the crash that was asked for has happened.
    #[must_use]
    pub fn crash_has_happened(&self) -> bool {
        !self.folder.join(CRASH_REQUEST).exists()
    }

    /// Process id, which is also the id of its process group.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it, and waits until it has ended.
    pub async fn stop(mut self) {
        drop(self.lifeline.take());
        // A process that is stuck in the kernel is not worth waiting for.
        let _ended = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // Without a runtime there is nobody to wait: the launcher ends the group on its own, and
        // `kill_on_drop` must not end the launcher before it has.
        for _ in 0..40 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        // Unpacked functions and the emulator's buckets: large, and of no use without it. The log stays.
        let _left_behind = std::fs::remove_dir_all(self.folder.join("tmp"));
    }
}
