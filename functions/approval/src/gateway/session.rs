//! Signing in to the page, and who is signed in.
//!
//! The session is the issuer's own token in a cookie that no script can read and no other site can send. Nothing is
//! kept here: a `GET` changes nothing, and a session ends with its token.

use blackstart_aws::sign_in::{Issuer, Settings, SignInError};
use blackstart_core::approval::page;
use blackstart_core::approval::sign_in::{Expected, SignIn, form_key, identity};
use jiff::Timestamp;

use super::request::{Body, Return, Voucher};
use super::response::Response;
use super::{NoAnswer, TurnedAway};

/// Name of the cookie with the session.
pub(crate) const SESSION: &str = "blackstart";
/// Name of the cookie of a sign-in that is under way.
pub(crate) const SIGN_IN: &str = "blackstart-sign-in";
/// What browsers let only the very host set, over TLS, for all paths.
const HOST_ONLY: &str = "__Host-";
/// Larger cookies are dropped by browsers without a word (RFC 6265, section 6.1).
const LARGEST_COOKIE: usize = 4000;

/// The value of a cookie among those of a request.
pub(crate) fn cookie(cookies: &[String], name: &str, tls: bool) -> Option<String> {
    let prefix = if tls { HOST_ONLY } else { "" };
    let value = |cookie: &String| {
        let (known, value) = cookie.trim().split_once('=')?;
        (known.strip_prefix(prefix)? == name && !value.is_empty()).then(|| value.to_owned())
    };
    cookies.iter().find_map(value)
}

fn set(settings: &Settings, name: &str, value: &str, same_site: &str) -> String {
    let (prefix, secure) = if settings.is_secure() {
        (HOST_ONLY, "; Secure")
    } else {
        ("", "")
    };
    let ends = if value.is_empty() { "; Max-Age=0" } else { "" };
    format!("{prefix}{name}={value}; Path=/; HttpOnly; SameSite={same_site}{secure}{ends}")
}

impl From<SignInError> for NoAnswer {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Bad(bad) => TurnedAway::Token(bad).into(),
            SignInError::Issuer(error) => Self::Issuer(error),
        }
    }
}

/// Who calls, as the roster names people. Nothing that the caller wrote counts unless somebody vouches for it.
pub(crate) async fn caller(
    voucher: &Voucher,
    issuer: Option<&Issuer>,
    page: bool,
    now: Timestamp,
) -> Result<String, NoAnswer> {
    let token = match voucher {
        Voucher::Iam(arn) => return Ok(arn.clone()),
        Voucher::Session(token) | Voucher::Bearer(token) => token,
        Voucher::Nothing if page && issuer.is_some() => return Err(TurnedAway::NotSignedIn.into()),
        Voucher::Nothing => return Err(TurnedAway::NoIdentity.into()),
    };
    let issuer = issuer.ok_or(TurnedAway::NoPage)?;
    verified(issuer, token, None, now).await
}

async fn verified(
    issuer: &Issuer,
    token: &str,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<String, NoAnswer> {
    let claims = issuer.verified(token, now).await?;
    let expected = Expected {
        issuer: &issuer.settings().issuer,
        client: &issuer.settings().client,
        nonce,
        now,
    };
    Ok(identity(&claims, &expected).map_err(TurnedAway::Token)?)
}

/// Sends a person to the issuer.
pub(crate) async fn sign_in(issuer: Option<&Issuer>, to: &str, now: Timestamp) -> Result<Response, NoAnswer> {
    let issuer = issuer.ok_or(TurnedAway::NoPage)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(NoAnswer::Random)?;
    let begun = SignIn::begin(&random, to, now);
    let address = issuer.address(&begun, now).await.map_err(NoAnswer::Issuer)?;
    // The issuer's own redirect brings this one back, so it cannot be `Strict`.
    let kept = set(issuer.settings(), SIGN_IN, &begun.to_cookie(), "Lax");
    Ok(Response::Elsewhere(address, vec![kept]))
}

/// Takes a person back from the issuer.
pub(crate) async fn signed_in(
    issuer: Option<&Issuer>,
    back: &Return,
    now: Timestamp,
) -> Result<Response, NoAnswer> {
    let issuer = issuer.ok_or(TurnedAway::NoPage)?;
    let begun = back
        .begun
        .as_deref()
        .and_then(|kept| SignIn::from_cookie(kept, now));
    let begun = begun.filter(|begun| begun.state == back.state);
    let (begun, code) = begun.zip(back.code.as_deref()).ok_or(TurnedAway::NoSignIn)?;
    let token = issuer.redeem(code, &begun, now).await?;
    let identity = verified(issuer, &token, Some(&begun.nonce), now).await?;
    if token.len() > LARGEST_COOKIE {
        return Err(NoAnswer::LargeToken(token.len()));
    }
    let settings = issuer.settings();
    let cookies = vec![
        set(settings, SESSION, &token, "Strict"),
        set(settings, SIGN_IN, "", "Lax"),
    ];
    // A redirect would still count as coming from the issuer's site, and the browser would keep the session back.
    let text = format!("You are signed in as {identity}.");
    Ok(Response::Page(
        page::forward("Signed in", &text, &begun.to),
        cookies,
    ))
}

/// Ends the session in this browser.
pub(crate) fn sign_out(
    issuer: Option<&Issuer>,
    voucher: &Voucher,
    body: &Body,
) -> Result<Response, NoAnswer> {
    let settings = issuer.ok_or(TurnedAway::NoPage)?.settings();
    let [key] = body.form(["form_key"])?;
    let Voucher::Session(token) = voucher else {
        return Err(TurnedAway::NotSignedIn.into());
    };
    // Any form of this session may end it.
    let (run, key) = key.split_once('.').ok_or(TurnedAway::OtherSite)?;
    if key != form_key(token, run) {
        return Err(TurnedAway::OtherSite.into());
    }
    let text = "You are signed out here. The issuer may still know you.";
    let page = page::message("Signed out", text, None);
    Ok(Response::Page(page, vec![set(settings, SESSION, "", "Strict")]))
}

/// What the forms of a page carry: the run that it is about, and what only this session can know of it.
pub(crate) fn key_of_page(token: &str, run: &str) -> String {
    format!("{run}.{}", form_key(token, run))
}
