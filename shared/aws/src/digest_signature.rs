//! RSA signatures of CloudTrail digest files.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blackstart_core::plan::DigestKey;

/// Verifies `SHA256withRSA` (PKCS #1 v1.5) with a key as `ListPublicKeys` returns it: base64 of PKCS #1 DER.
///
/// A key that is no RSA key of 2048 to 8192 bits verifies nothing, as a wrong signature does not.
///
/// # Errors
/// A sentence when the key is not base64.
pub fn verify(key: &DigestKey, message: &[u8], signature: &[u8]) -> Result<bool, String> {
    let der = STANDARD
        .decode(key.value.trim())
        .map_err(|error| format!("the public key `{}` is not base64: {error}", key.fingerprint))?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der);
    Ok(key.verify(message, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use blackstart_core::timeline::digests::{Checked, check};
    use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
    use blackstart_core::timeline::indicator::Table;

    use super::*;

    fn data() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/cloudtrail-digests")
    }

    fn key() -> DigestKey {
        let keys: serde_json::Value =
            serde_json::from_slice(&std::fs::read(data().join("public-keys.json")).unwrap()).unwrap();
        let key = &keys["PublicKeyList"][0];
        DigestKey {
            fingerprint: key["Fingerprint"].as_str().unwrap().to_owned(),
            value: key["Value"].as_str().unwrap().to_owned(),
        }
    }

    fn facts() -> Vec<ObjectFacts> {
        fn files(folder: &Path, into: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    files(&path, into);
                } else if path.to_string_lossy().ends_with(".json.gz") {
                    into.push(path);
                }
            }
        }
        let mut found = Vec::new();
        files(&data(), &mut found);
        let reader = Reader {
            hash_content: true,
            ..Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap())
        };
        found
            .iter()
            .map(|path| {
                reader.read(
                    &path.to_string_lossy(),
                    &std::fs::read(path).unwrap(),
                    Kind::CloudTrail,
                )
            })
            .collect()
    }

    #[test]
    fn signatures_of_another_implementation_are_right_until_something_changes() {
        let Checked {
            signed,
            proven,
            unseen,
            ..
        } = check(&facts(), &[key()], &verify);
        assert_eq!((signed, proven), (2, 4));
        assert!(unseen.is_empty(), "{unseen:?}");

        let mut changed = facts();
        for object in &mut changed {
            if let Some(digest) = &mut object.sources.digest {
                digest.end_text = digest.end_text.replace("31Z", "32Z");
            }
        }
        let checked = check(&changed, &[key()], &verify);
        assert_eq!((checked.signed, checked.proven), (0, 0));
        assert_eq!(checked.unseen.len(), 2, "{:?}", checked.unseen);
    }

    #[test]
    fn a_key_that_is_no_key_proves_nothing() {
        let mut wrong = key();
        wrong.value = "AAAA".to_owned();
        assert_eq!(verify(&wrong, b"x", b"y"), Ok(false));
        wrong.value = "not base64!".to_owned();
        assert!(verify(&wrong, b"x", b"y").unwrap_err().contains("not base64"));
    }
}
