//! The gate of one run behind an HTTP API, with an issuer at which people sign in.

use std::sync::Arc;

use aws_config::SdkConfig;
use blackstart_aws::sign_in::{Issuer, Settings};
use blackstart_core::artifact::Digest;
use blackstart_local::front::{Front, Handler};
use blackstart_local::issuer::{self, CLIENT};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fakes::{Scene, asked_with, event, later, run};
use crate::gateway::serve;

pub(super) struct Site {
    pub(super) scene: Arc<Scene>,
    pub(super) issuer: issuer::Issuer,
    pub(super) front: Front,
}

pub(super) fn clock() -> Timestamp {
    later(1)
}

/// The gate of a run that is before its approvers; everybody on the roster can also sign in.
pub(super) async fn site() -> Site {
    let people = ["ada", "bob", "cy", "dee", "mallory"];
    let issuer = issuer::Issuer::start(&people, clock).await.unwrap();
    let (listener, origin) = Front::listen().await.unwrap();
    let settings = Settings {
        secret: None,
        issuer: issuer.identifier(),
        client: CLIENT.to_owned(),
        origin,
    };
    let mut scene = Box::pin(asked_with(&|person| match person {
        "dee" => "https://elsewhere.example#dee".to_owned(),
        person => format!("{}#{person}", issuer.identifier()),
    }))
    .await;
    scene.deps.issuer = Some(Issuer::new(&SdkConfig::builder().build(), settings));
    let scene = Arc::new(scene);
    let served = scene.clone();
    let handler: Handler = Arc::new(move |event| {
        let scene = served.clone();
        Box::pin(async move { serve(event, &scene.deps, clock()).await })
    });
    let front = Front::start(listener, handler).unwrap();
    Site { scene, issuer, front }
}

impl Site {
    pub(super) fn token(&self, person: &str) -> String {
        self.issuer.token(&self.issuer.claims(person, clock()))
    }

    /// An event of the HTTP API, which knows nobody, with these cookies and headers.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
        cookies: &[String],
        headers: &[(&str, &str)],
    ) -> Value {
        let mut event = event("nobody", method, path, body);
        event["requestContext"]
            .as_object_mut()
            .unwrap()
            .remove("authorizer");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        event["rawPath"] = json!(path);
        event["rawQueryString"] = json!(query);
        let request =
            Digest::of(format!("{method} {path} {query} {body} {cookies:?} {headers:?}").as_bytes());
        event["requestContext"]["requestId"] = json!(request);
        event["cookies"] = json!(cookies);
        event["headers"] = headers.iter().map(|(name, value)| (*name, *value)).collect();
        serve(event, &self.scene.deps, clock()).await
    }

    /// A form that the page of this person would send.
    pub(super) async fn form(&self, token: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Value {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let headers = [
            &[
                ("content-type", "application/x-www-form-urlencoded"),
                ("accept", "text/html,*/*"),
            ],
            headers,
        ]
        .concat();
        let cookies = [format!("blackstart={token}")];
        self.send("POST", &votes_path(), &body.join("&"), &cookies, &headers)
            .await
    }

    pub(super) fn attempts(&self) -> usize {
        self.scene.deps.records.count("EVIDENCE#") + self.scene.deps.records.count("2026-")
    }

    pub(super) fn unchanged(&self) -> (usize, usize) {
        (
            self.scene.deps.records.count("VOTE#"),
            self.scene.deps.callbacks.taken().len(),
        )
    }
}

pub(super) fn votes_path() -> String {
    format!("/runs/{}/votes", run())
}

pub(super) fn decision_path() -> String {
    format!("/runs/{}", run())
}

/// What the page of this session carries in its forms.
pub(super) async fn key_of(site: &Site, token: &str) -> String {
    let page = site
        .send(
            "GET",
            &decision_path(),
            "",
            &[format!("blackstart={token}")],
            &[("accept", "text/html")],
        )
        .await;
    assert_eq!(page["statusCode"], 200, "{page}");
    let html = page["body"].as_str().unwrap().to_owned();
    html.split("name=\"form_key\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned()
}
