//! A real browser for tests: Chromium, driven by `chromedriver` as the W3C standard `WebDriver` says.
//!
//! The few commands that tests of pages need, spoken with the HTTP client that is here anyway: the crates for this
//! bring along features of shared dependencies for which every SDK crate would be built again.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Key of an element in an answer (`WebDriver`, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The tab key.
pub const TAB: char = '\u{e004}';
/// The enter key.
pub const ENTER: char = '\u{e007}';

/// A window size in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A phone, upright.
pub const PHONE: Size = Size {
    width: 360,
    height: 740,
};
/// A laptop.
pub const DESKTOP: Size = Size {
    width: 1280,
    height: 900,
};

/// A running browser with one window. It ends when this value is dropped.
#[derive(Debug)]
pub struct Browser {
    _driver: Child,
    session: String,
    http: reqwest::Client,
}

/// The browser did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// It is not installed.
    #[error("`{program}` is not there: install it (Debian: `apt-get install chromium chromium-driver`)")]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The driver says no.
    #[error("the browser refuses `{command}`: {answer}")]
    Refused {
        /// What was asked.
        command: String,
        /// What it said.
        answer: String,
    },
    /// The driver does not answer.
    #[error("the browser's driver does not answer")]
    Unreachable(#[from] reqwest::Error),
    /// A file cannot be written.
    #[error("the screenshot cannot be written")]
    File(#[from] std::io::Error),
}

impl Browser {
    /// Starts it without a display.
    ///
    /// # Errors
    /// [`BrowserError::Missing`] where there is no Chromium or no driver.
    pub async fn start() -> Result<Self, BrowserError> {
        let missing = |source| BrowserError::Missing {
            program: "chromedriver",
            source,
        };
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(missing)?;
        let mut port = None;
        if let Some(output) = driver.stdout.take() {
            let mut lines = BufReader::new(output).lines();
            while let Some(line) = lines.next_line().await? {
                if let Some(found) = line.split("on port ").nth(1) {
                    port = found.trim_end_matches('.').parse::<u16>().ok();
                    if line.contains("successfully") {
                        break;
                    }
                }
            }
        }
        let port = port.ok_or_else(|| missing(std::io::Error::other("it names no port")))?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let base = format!("http://127.0.0.1:{port}/session");
        let answer = send(http.post(&base).json(&capabilities), "new session").await?;
        let id = answer
            .get("sessionId")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(Self {
            session: format!("{base}/{id}"),
            _driver: driver,
            http,
        })
    }

    async fn command(&self, path: &str, body: &Value) -> Result<Value, BrowserError> {
        send(
            self.http.post(format!("{}/{path}", self.session)).json(body),
            path,
        )
        .await
    }

    async fn ask(&self, path: &str) -> Result<Value, BrowserError> {
        send(self.http.get(format!("{}/{path}", self.session)), path).await
    }

    /// Makes the page as wide and high as this, whatever the window's frame.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn resize(&self, size: Size) -> Result<(), BrowserError> {
        let metrics = json!({
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": {"width": size.width, "height": size.height, "deviceScaleFactor": 1, "mobile": size.width < 600},
        });
        self.command("goog/cdp/execute", &metrics).await.map(drop)
    }

    /// Prefers the dark or the light form of pages.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn prefer_dark(&self, dark: bool) -> Result<(), BrowserError> {
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({
            "cmd": "Emulation.setEmulatedMedia",
            "params": {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        });
        self.command("goog/cdp/execute", &media).await.map(drop)
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn open(&self, address: &str) -> Result<(), BrowserError> {
        self.command("url", &json!({"url": address})).await.map(drop)
    }

    /// Where the browser is.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn address(&self) -> Result<String, BrowserError> {
        Ok(self.ask("url").await?.as_str().unwrap_or_default().to_owned())
    }

    /// The title of the page.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn title(&self) -> Result<String, BrowserError> {
        Ok(self.ask("title").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Runs a script from outside of the page, and returns what it returns.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn script(&self, text: &str) -> Result<Value, BrowserError> {
        self.command("execute/sync", &json!({"script": text, "args": []}))
            .await
    }

    /// Clicks on the first element that a selector finds.
    ///
    /// # Errors
    /// [`BrowserError`] when there is none.
    pub async fn click(&self, selector: &str) -> Result<(), BrowserError> {
        let found = self
            .command("element", &json!({"using": "css selector", "value": selector}))
            .await?;
        let id = found.get(ELEMENT).and_then(Value::as_str).unwrap_or_default();
        self.command(&format!("element/{id}/click"), &json!({}))
            .await
            .map(drop)
    }

    /// Types into whatever has the focus, as a keyboard does.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn keys(&self, text: &str) -> Result<(), BrowserError> {
        let actions: Vec<Value> = text
            .chars()
            .flat_map(|key| {
                [
                    json!({"type": "keyDown", "value": key}),
                    json!({"type": "keyUp", "value": key}),
                ]
            })
            .collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.command("actions", &keyboard).await.map(drop)
    }

    /// What the browser has written to its console since it was asked last: errors, and what policies forbade.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn complaints(&self) -> Result<Vec<String>, BrowserError> {
        let entries = self.command("se/log", &json!({"type": "browser"})).await?;
        let text = |entry: &Value| entry.get("message").and_then(Value::as_str).map(str::to_owned);
        Ok(entries
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(text)
            .collect())
    }

    /// Keeps a picture of the whole page.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn picture(&self, file: &Path) -> Result<(), BrowserError> {
        let whole = json!({
            "cmd": "Page.captureScreenshot",
            "params": {"format": "png", "captureBeyondViewport": true},
        });
        let answer = self.command("goog/cdp/execute", &whole).await?;
        let data = answer.get("data").and_then(Value::as_str).unwrap_or_default();
        let bytes = STANDARD.decode(data).map_err(std::io::Error::other)?;
        Ok(tokio::fs::write(file, bytes).await?)
    }

    /// Ends the browser, and waits until it has ended.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn stop(self) -> Result<(), BrowserError> {
        send(self.http.delete(&self.session), "delete session")
            .await
            .map(drop)
    }
}

async fn send(request: reqwest::RequestBuilder, command: &str) -> Result<Value, BrowserError> {
    let response = request.send().await?;
    let good = response.status().is_success();
    let answer: Value = response.json().await?;
    let value = answer.get("value").cloned().unwrap_or_default();
    if good {
        Ok(value)
    } else {
        let text = value.get("message").and_then(Value::as_str).unwrap_or_default();
        Err(BrowserError::Refused {
            command: command.to_owned(),
            answer: text.lines().next().unwrap_or_default().to_owned(),
        })
    }
}
