//! A killer between the function and AWS: at calls that its seed chooses, the function dies, before the request goes
//! out or after the answer has come in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use percent_encoding::percent_decode_str;
use tokio::sync::Notify;

/// Deaths per way through a cutover.
const DEATHS: usize = 4;
/// The shortest and the longest life, in calls. A way without deaths takes some fifteen hundred. A life begins with a
/// precheck of every document; one that ends before anything new is done is no progress, and of such lives only so many
/// are resumed.
const LIVES: std::ops::Range<u64> = 250..900;

#[derive(Debug)]
struct Fate {
    number: u64,
    calls: u64,
    next: u64,
    left: usize,
    kills: usize,
    /// Bodies of the requests for a session in another account.
    assumed: Vec<Vec<u8>>,
}

impl Fate {
    /// The next of numbers that look random and are the same every time (the multiplier and increment of Knuth's
    /// MMIX).
    fn roll(&mut self) -> u64 {
        self.number = self
            .number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.number >> 33
    }
}

/// Kills the function that uses its client.
#[derive(Debug, Clone)]
pub(crate) struct Killer {
    inner: SharedHttpClient,
    fate: Arc<Mutex<Fate>>,
    died: Arc<Notify>,
}

impl Killer {
    /// The same seed kills at the same calls.
    pub(crate) fn new(seed: u64) -> Self {
        let inner = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .build_https();
        let killer = Self {
            inner,
            fate: Arc::new(Mutex::new(Fate {
                number: 0,
                calls: 0,
                next: 0,
                left: 0,
                kills: 0,
                assumed: Vec::new(),
            })),
            died: Arc::new(Notify::new()),
        };
        killer.rearm(seed);
        killer
    }

    /// Begins again, with as many deaths as before.
    pub(crate) fn rearm(&self, seed: u64) {
        let mut fate = self.fate.lock().unwrap();
        fate.number = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        fate.left = DEATHS;
        fate.next = fate.calls + LIVES.start + fate.roll() % (LIVES.end - LIVES.start);
    }

    /// How often it killed.
    pub(crate) fn kills(&self) -> usize {
        self.fate.lock().unwrap().kills
    }

    /// What was asked for sessions in other accounts: field and value, as sent.
    pub(crate) fn assumed(&self) -> Vec<BTreeMap<String, String>> {
        let fate = self.fate.lock().unwrap();
        fate.assumed.iter().map(|body| fields(body)).collect()
    }

    fn witness(&self, request: &HttpRequest) {
        if let Some(body) = request.body().bytes()
            && body.starts_with(b"Action=AssumeRole&")
        {
            self.fate.lock().unwrap().assumed.push(body.to_vec());
        }
    }

    /// When the function dies.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// Whether this call is the last one of this life, and if so whether it is still sent.
    fn last_call(&self) -> Option<bool> {
        let mut fate = self.fate.lock().unwrap();
        fate.calls += 1;
        if fate.left == 0 || fate.calls < fate.next {
            return None;
        }
        fate.left -= 1;
        fate.kills += 1;
        fate.next = fate.calls + LIVES.start + fate.roll() % (LIVES.end - LIVES.start);
        Some(fate.roll().is_multiple_of(2))
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

impl HttpClient for Killer {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Deadly {
            killer: self.clone(),
            inner: self.inner.http_connector(settings, components),
        })
    }
}

/// The fields of a form.
fn fields(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let read = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    text.split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (read(name), read(value)))
        .collect()
}

#[derive(Debug)]
struct Deadly {
    killer: Killer,
    inner: SharedHttpConnector,
}

impl HttpConnector for Deadly {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (killer, inner) = (self.killer.clone(), self.inner.clone());
        killer.witness(&request);
        let last = killer.last_call();
        HttpConnectorFuture::new(async move {
            if last == Some(false) {
                return killer.die().await;
            }
            let answer = inner.call(request).await;
            if last == Some(true) {
                return killer.die().await;
            }
            answer
        })
    }
}
