//! Signing in with OpenID Connect: what the claims of an ID token must say, and what binds a session to one browser.
//!
//! The signature is checked elsewhere, before anything here is asked. The rules are those of OpenID Connect Core 1.0,
//! section 3.1.3.7, and of RFC 7636 (PKCE).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use strum::IntoStaticStr;

use crate::artifact::Digest;

/// How far the clocks of issuer and gateway may differ.
pub const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// A token is not taken for longer than this, however long its issuer would. One decision takes less.
pub const LONGEST_SESSION: SignedDuration = SignedDuration::from_hours(1);

/// How long a sign-in may take, from leaving for the issuer to coming back.
pub const LONGEST_SIGN_IN: SignedDuration = SignedDuration::from_mins(10);

/// The claims of an ID token, as far as they are looked at. Issuers add others at will.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is about: unique and never reassigned within the issuer.
    pub sub: String,
    /// For whom it was issued.
    pub aud: Audience,
    /// Until when it is good, in seconds of the epoch.
    pub exp: i64,
    /// When it was issued, in seconds of the epoch.
    pub iat: i64,
    /// From when on it is good, in seconds of the epoch.
    #[serde(default)]
    pub nbf: Option<i64>,
    /// To whom it was issued, where that is another than the audience.
    #[serde(default)]
    pub azp: Option<String>,
    /// What the sign-in was begun with.
    #[serde(default)]
    pub nonce: Option<String>,
}

/// One client or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// Only this one.
    One(String),
    /// All of these.
    Many(Vec<String>),
}

/// What a token must agree with.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The issuer, exactly as in its metadata.
    pub issuer: &'a str,
    /// The client that this gateway is with the issuer.
    pub client: &'a str,
    /// The nonce of the sign-in that the token answers; `None` for a token that was taken before.
    pub nonce: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// Why a token does not say who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum BadToken {
    /// It is no token, or its signature does not hold.
    #[error("the token is malformed, or its signature does not hold")]
    Unverified,
    /// It was issued by somebody else.
    #[error("the token is from another issuer")]
    OtherIssuer,
    /// It was issued for somebody else.
    #[error("the token is for another client")]
    OtherAudience,
    /// It is about nobody.
    #[error("the token names nobody")]
    Nobody,
    /// Its time is over.
    #[error("the token expired: sign in again")]
    Expired,
    /// It is from the future.
    #[error("the token is not valid yet: a clock differs by more than a minute")]
    NotYet,
    /// It answers another sign-in.
    #[error("the token does not belong to this sign-in")]
    OtherSignIn,
}

/// The identity behind verified claims, as the roster names it: `ISSUER#SUBJECT`.
///
/// # Errors
/// [`BadToken`] when the claims are not for us, not now, or not from this sign-in.
pub fn identity(claims: &Claims, expected: &Expected<'_>) -> Result<String, BadToken> {
    if claims.iss != expected.issuer {
        return Err(BadToken::OtherIssuer);
    }
    let audiences: &[String] = match &claims.aud {
        Audience::One(one) => std::slice::from_ref(one),
        Audience::Many(many) => many,
    };
    let ours = audiences.iter().any(|audience| audience == expected.client);
    // With more than one audience the authorized party says which of them asked for the token.
    let party = claims.azp.as_deref();
    if !ours
        || party.is_some_and(|party| party != expected.client)
        || (audiences.len() > 1 && party.is_none())
    {
        return Err(BadToken::OtherAudience);
    }
    if claims.sub.is_empty() {
        return Err(BadToken::Nobody);
    }
    let at = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| BadToken::Unverified);
    let (expires, issued) = (at(claims.exp)?, at(claims.iat)?);
    let age = expected.now.duration_since(issued);
    if expected.now.duration_since(expires) > SKEW || age > LONGEST_SESSION + SKEW {
        return Err(BadToken::Expired);
    }
    let begins = claims.nbf.map_or(Ok(issued), at)?.max(issued);
    if begins.duration_since(expected.now) > SKEW {
        return Err(BadToken::NotYet);
    }
    if expected.nonce.is_some() && claims.nonce.as_deref() != expected.nonce {
        return Err(BadToken::OtherSignIn);
    }
    Ok(format!("{}#{}", claims.iss, claims.sub))
}

/// What a browser that begins to sign in keeps until it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Comes back from the issuer unchanged.
    pub state: String,
    /// Comes back inside the token.
    pub nonce: String,
    /// Proves to the issuer that who redeems the code is who asked for it.
    pub verifier: String,
    /// When it was begun.
    pub began: Timestamp,
    /// Where to go afterwards: a path of this gateway.
    pub to: String,
}

impl SignIn {
    /// Begins a sign-in with 32 random bytes.
    #[must_use]
    pub fn begin(random: &[u8; 32], to: &str, now: Timestamp) -> Self {
        let derived = |what: &str| {
            let mut hash = Sha256::new();
            hash.update(what.as_bytes());
            hash.update(random);
            URL_SAFE_NO_PAD.encode(hash.finalize())
        };
        Self {
            state: derived("state"),
            nonce: derived("nonce"),
            verifier: derived("verifier"),
            began: Timestamp::from_second(now.as_second()).unwrap_or(now),
            to: own_path(to).to_owned(),
        }
    }

    /// As a cookie value.
    #[must_use]
    pub fn to_cookie(&self) -> String {
        format!(
            "{}.{}.{}.{}.{}",
            self.state,
            self.nonce,
            self.verifier,
            self.began.as_second(),
            URL_SAFE_NO_PAD.encode(&self.to)
        )
    }

    /// From a cookie value; `None` if it is none of ours or too old.
    #[must_use]
    pub fn from_cookie(text: &str, now: Timestamp) -> Option<Self> {
        let mut parts = text.split('.');
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let (state, nonce, verifier) = (next()?, next()?, next()?);
        let began = Timestamp::from_second(next()?.parse().ok()?).ok()?;
        let to = String::from_utf8(URL_SAFE_NO_PAD.decode(next()?).ok()?).ok()?;
        let age = now.duration_since(began);
        (age <= LONGEST_SIGN_IN && age >= -SKEW).then(|| Self {
            state,
            nonce,
            verifier,
            began,
            to: own_path(&to).to_owned(),
        })
    }

    /// The challenge of PKCE, method `S256`.
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }
}

/// A path of a run on this gateway, or `/`: nobody is sent elsewhere by a link that he was given.
#[must_use]
pub fn own_path(path: &str) -> &str {
    let inside = path.strip_prefix("/runs/").is_some_and(|run| {
        !run.is_empty()
            && run
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    });
    if inside { path } else { "/" }
}

/// What a form of this session carries. Another site can neither read the session nor compute this from anything else.
#[must_use]
pub fn form_key(session: &str, about: &str) -> String {
    Digest::of(format!("form\n{about}\n{session}").as_bytes())
        .as_str()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://issuer.example/tenant";
    const CLIENT: &str = "blackstart";

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.into(),
            sub: "00u1".into(),
            aud: Audience::One(CLIENT.into()),
            exp: now().as_second() + 600,
            iat: now().as_second() - 5,
            nbf: None,
            azp: None,
            nonce: Some("n".into()),
        }
    }

    fn said(change: impl FnOnce(&mut Claims)) -> Result<String, BadToken> {
        let mut claims = claims();
        change(&mut claims);
        let expected = Expected {
            issuer: ISSUER,
            client: CLIENT,
            nonce: Some("n"),
            now: now(),
        };
        identity(&claims, &expected)
    }

    #[test]
    fn good_claims_name_the_subject_within_its_issuer() {
        assert_eq!(said(|_| {}).unwrap(), "https://issuer.example/tenant#00u1");
        for change in [
            (|c| c.aud = Audience::Many(vec![CLIENT.into()])) as fn(&mut Claims),
            |c| {
                c.aud = Audience::Many(vec!["other".into(), CLIENT.into()]);
                c.azp = Some(CLIENT.into());
            },
            |c| c.exp = now().as_second() - 60,
            |c| c.iat = now().as_second() + 60,
            |c| c.nbf = Some(now().as_second() + 60),
            |c| c.iat = now().as_second() - 3600,
        ] {
            assert!(said(change).is_ok());
        }
    }

    #[test]
    fn claims_that_are_not_for_us_not_now_or_not_from_this_sign_in_are_refused() {
        type Change = fn(&mut Claims);
        let cases: [(Change, BadToken); 13] = [
            (|c| c.iss.push('/'), BadToken::OtherIssuer),
            (|c| c.aud = Audience::One("other".into()), BadToken::OtherAudience),
            (|c| c.aud = Audience::Many(vec![]), BadToken::OtherAudience),
            (
                |c| c.aud = Audience::Many(vec![CLIENT.into(), "other".into()]),
                BadToken::OtherAudience,
            ),
            (|c| c.azp = Some("other".into()), BadToken::OtherAudience),
            (|c| c.sub.clear(), BadToken::Nobody),
            (|c| c.exp = now().as_second() - 61, BadToken::Expired),
            (|c| c.iat = now().as_second() - 3661, BadToken::Expired),
            (|c| c.iat = now().as_second() + 61, BadToken::NotYet),
            (|c| c.nbf = Some(now().as_second() + 61), BadToken::NotYet),
            (|c| c.exp = i64::MAX, BadToken::Unverified),
            (|c| c.nonce = Some("m".into()), BadToken::OtherSignIn),
            (|c| c.nonce = None, BadToken::OtherSignIn),
        ];
        for (n, (change, why)) in cases.into_iter().enumerate() {
            assert_eq!(said(change), Err(why), "case {n}");
        }
    }

    #[test]
    fn a_sign_in_survives_its_cookie_and_grows_old() {
        let begun = SignIn::begin(&[7; 32], "/runs/orders-0123456789ab", now());
        let cookie = begun.to_cookie();
        assert!(
            cookie
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        );
        assert_eq!(
            SignIn::from_cookie(&cookie, now() + LONGEST_SIGN_IN),
            Some(begun.clone())
        );
        let late = now() + LONGEST_SIGN_IN + SignedDuration::from_secs(1);
        assert_eq!(SignIn::from_cookie(&cookie, late), None);
        assert_eq!(SignIn::from_cookie("a.b.c", now()), None);
        assert_ne!(begun.state, begun.nonce);
        assert_ne!(begun.verifier, SignIn::begin(&[8; 32], "/", now()).verifier);
    }

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let begun = SignIn {
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
            ..SignIn::begin(&[0; 32], "/", now())
        };
        assert_eq!(begun.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        for bad in [
            "//evil.example",
            "https://evil.example",
            "/runs/../x",
            "/runs/",
            "/runs/x//evil",
            "",
            "/runs/a?b",
        ] {
            assert_eq!(own_path(bad), "/", "{bad}");
        }
        assert_eq!(own_path("/runs/orders-0123456789ab"), "/runs/orders-0123456789ab");
    }

    #[test]
    fn a_form_key_is_that_of_one_session_and_one_purpose() {
        assert_eq!(form_key("s", "a"), form_key("s", "a"));
        assert_ne!(form_key("s", "a"), form_key("s", "b"));
        assert_ne!(form_key("s", "a"), form_key("t", "a"));
    }
}
