//! Signed tokens: JSON Web Signature, compact form (RFC 7515), with the keys of a JSON Web Key Set (RFC 7517).
//!
//! Two algorithms, `RS256` and `ES256`, which every issuer offers at least one of; the key decides which of them a
//! token must be signed with, never the token alone. No other algorithm is known, so none can be smuggled in.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blackstart_core::approval::sign_in::{BadToken, Claims};
use serde::Deserialize;
use serde_json::Value;

/// Largest token, in bytes. Browsers keep no larger cookies anyway.
const LARGEST: usize = 16 * 1024;

/// A token that is taken apart, not verified yet.
#[derive(Debug)]
pub struct Token<'a> {
    header: Header,
    signed: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    #[serde(default)]
    crit: Option<Value>,
}

/// A key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// A point of the curve P-256, uncompressed.
    P256(Vec<u8>),
}

/// A key set as an issuer publishes it. Keys of other kinds are skipped.
#[derive(Debug, Deserialize)]
pub struct KeySet {
    keys: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl KeySet {
    /// The keys with which tokens can be verified.
    #[must_use]
    pub fn usable(self) -> Vec<Key> {
        let known = |value| serde_json::from_value(value).ok().and_then(Key::of);
        self.keys.into_iter().filter_map(known).collect()
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let decode = |field: Option<String>| URL_SAFE_NO_PAD.decode(field?).ok();
        let material = match jwk.kty.as_str() {
            "RSA" => Material::Rsa {
                modulus: decode(jwk.n)?,
                exponent: decode(jwk.e)?,
            },
            "EC" if jwk.crv.as_deref() == Some("P-256") => {
                let (x, y) = (decode(jwk.x)?, decode(jwk.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                Material::P256([vec![4], x, y].concat())
            }
            _ => return None,
        };
        let key = Self {
            id: jwk.kid,
            material,
        };
        jwk.alg.is_none_or(|alg| alg == key.algorithm()).then_some(key)
    }

    fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Rsa { .. } => "RS256",
            Material::P256(_) => "ES256",
        }
    }

    /// Whether algorithm and key id of the token are those of this key.
    #[must_use]
    pub fn may_have_signed(&self, token: &Token<'_>) -> bool {
        self.algorithm() == token.header.alg
            && token
                .header
                .kid
                .as_ref()
                .is_none_or(|id| self.id.as_ref() == Some(id))
    }

    fn has_signed(&self, token: &Token<'_>) -> bool {
        match &self.material {
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, token.signed, &token.signature)
            .is_ok(),
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(token.signed, &token.signature)
                .is_ok(),
        }
    }
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`BadToken::Unverified`] when it is none.
    pub fn parse(text: &'a str) -> Result<Self, BadToken> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(BadToken::Unverified);
        };
        let signed = text
            .get(..header.len() + 1 + payload.len())
            .ok_or(BadToken::Unverified)?;
        if text.len() > LARGEST {
            return Err(BadToken::Unverified);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| BadToken::Unverified);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| BadToken::Unverified)?;
        if header.crit.is_some() {
            return Err(BadToken::Unverified);
        }
        Ok(Self {
            header,
            signed: signed.as_bytes(),
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The claims, if one of the keys signed the token.
    ///
    /// # Errors
    /// [`BadToken::Unverified`] when none did, or when what it signed are no claims.
    pub fn verified(&self, keys: &[Key]) -> Result<Claims, BadToken> {
        let signed = keys
            .iter()
            .any(|key| key.may_have_signed(self) && key.has_signed(self));
        if !signed {
            return Err(BadToken::Unverified);
        }
        serde_json::from_slice(&self.payload).map_err(|_| BadToken::Unverified)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    /// RFC 7515, appendix A.2.
    const RS256: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    const RSA_MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    /// RFC 7515, appendix A.3.
    const ES256: &str =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn rsa() -> Value {
        json!({"kty": "RSA", "kid": "r", "n": RSA_MODULUS, "e": "AQAB"})
    }

    fn p256() -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        })
    }

    fn keys(keys: &[Value]) -> Vec<Key> {
        KeySet { keys: keys.to_vec() }.usable()
    }

    /// The payload of the RFC is no ID token: that the signature holds is seen one step before.
    fn holds(token: &str, keys: &[Key]) -> bool {
        Token::parse(token).is_ok_and(|token| {
            keys.iter()
                .any(|key| key.may_have_signed(&token) && key.has_signed(&token))
        })
    }

    fn with_header(header: &Value, signature: &str) -> String {
        format!(
            "{}.{PAYLOAD}.{signature}",
            URL_SAFE_NO_PAD.encode(header.to_string())
        )
    }

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let rs = format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.{RS256}");
        let es = format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.{ES256}");
        assert!(holds(&rs, &keys(&[rsa()])));
        assert!(holds(&es, &keys(&[rsa(), p256()])));
        assert!(!holds(&rs, &keys(&[p256()])));
        for at in (0..rs.len()).step_by(7) {
            let mut broken = rs.clone().into_bytes();
            broken[at] = if broken[at] == b'A' { b'B' } else { b'A' };
            let broken = String::from_utf8(broken).unwrap();
            assert!(!holds(&broken, &keys(&[rsa()])), "byte {at}");
        }
    }

    #[test]
    fn the_key_decides_the_algorithm() {
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "None"}),
            json!({"alg": "HS256"}),
            json!({"alg": "RS512"}),
            json!({"alg": "ES256"}),
            json!({"alg": "RS256", "kid": "other"}),
            json!({"alg": "RS256", "crit": ["exp"]}),
            json!({}),
        ] {
            for signature in ["", RS256, ES256] {
                // This one is the example of the RFC itself.
                if header == json!({"alg": "ES256"}) && signature == ES256 {
                    continue;
                }
                assert!(
                    !holds(&with_header(&header, signature), &keys(&[rsa(), p256()])),
                    "{header}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        // It would parse if it were smaller.
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256"}).to_string());
        let small = format!("{header}.{}.{RS256}", "A".repeat(16));
        assert!(Token::parse(&small).is_ok());
        let large = format!("{header}.{}.{RS256}", "A".repeat(LARGEST));
        assert!(Token::parse(&large).is_err());
        for text in ["", ".", "..", "a.b.c", "a.b.c.d", "ä.ö.ü", "e30.e30."] {
            assert!(!holds(text, &keys(&[rsa(), p256()])), "{text}");
        }
    }

    #[test]
    fn keys_for_other_purposes_are_not_used() {
        for change in [("use", "enc"), ("alg", "RS512"), ("kty", "oct"), ("n", "=")] {
            let mut key = rsa();
            key[change.0] = json!(change.1);
            assert_eq!(keys(&[key]), [], "{change:?}");
        }
        let mut short = p256();
        short["x"] = json!("AAAA");
        assert_eq!(keys(&[short, json!("x"), json!({})]), []);
    }
}
