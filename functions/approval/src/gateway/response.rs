//! Answers, in payload format 2.0.

use blackstart_core::approval::page::Page;
use serde_json::{Value, json};

/// What goes back to the caller.
#[derive(Debug)]
pub(crate) enum Response {
    /// For programs.
    Json(Value),
    /// For browsers.
    Page(Page, Vec<String>),
    /// To another place, with cookies. A path of this gateway, or the issuer's address.
    Elsewhere(String, Vec<String>),
}

impl Response {
    /// As the gateway delivers it.
    pub(crate) fn deliver(self, status: u16) -> Value {
        let (status, kind, policy, location, cookies, body) = match self {
            Self::Json(body) => (
                status,
                "application/json",
                CLOSED.to_owned(),
                None,
                Vec::new(),
                body.to_string(),
            ),
            Self::Page(page, cookies) => (
                status,
                "text/html; charset=utf-8",
                page.policy,
                None,
                cookies,
                page.html,
            ),
            Self::Elsewhere(place, cookies) => {
                let kind = "text/plain; charset=utf-8";
                (303, kind, CLOSED.to_owned(), Some(place), cookies, String::new())
            }
        };
        let mut headers = json!({
            "content-type": kind,
            "content-security-policy": policy,
            "cache-control": "no-store",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "strict-transport-security": "max-age=63072000",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        });
        if let (Some(place), Some(fields)) = (location, headers.as_object_mut()) {
            fields.insert("location".to_owned(), json!(place));
        }
        json!({
            "statusCode": status,
            "headers": headers,
            "cookies": cookies,
            "body": body,
            "isBase64Encoded": false,
        })
    }
}

const CLOSED: &str = "default-src 'none'; frame-ancestors 'none'";
