use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use blackstart_core::evidence::bundle::{Facts, checkpoint, lines, statement};
use blackstart_core::evidence::dsse::{Envelope, PAYLOAD_TYPE, pae};
use blackstart_core::evidence::{Event, Kind, append};
use blackstart_core::run::{RunId, WorkloadName};
use jiff::Timestamp;

use super::*;

/// A key pair of the kind that KMS holds.
struct Signer {
    pair: EcdsaKeyPair,
    key: PublicKey,
}

impl Signer {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = PublicKey::of_der(der.as_ref().to_vec());
        Self { pair, key }
    }

    fn sign(&self, payload: &[u8]) -> Envelope {
        let message = pae(PAYLOAD_TYPE, payload);
        let signature = self.pair.sign(&SystemRandom::new(), &message).unwrap();
        Envelope::signed(payload, &self.key, signature.as_ref())
    }

    fn bundle(&self) -> Vec<u8> {
        let run = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x");
        let at = Timestamp::UNIX_EPOCH;
        let event = Event::new(Kind::RunOpened, at)
            .subject("plan.json", &Digest::of(b"plan"))
            .fact("reason", "\u{1b}[2Jhostile\u{202e}");
        let links = vec![append(&run, None, event).unwrap()];
        let seal = self.sign(&checkpoint(&run, "prepare", &links, at).unwrap().unwrap());
        let checkpoints = [seal];
        let payload = statement(Facts {
            run: &run,
            links,
            checkpoints: &checkpoints,
            artifacts: BTreeMap::from([
                ("plan.json".to_owned(), Digest::of(b"plan")),
                ("../escape".to_owned(), Digest::of(b"plan")),
                ("timeline/boundary.json".to_owned(), Digest::of(b"boundary")),
            ]),
            key: &self.key,
            at,
        })
        .unwrap();
        let [seal] = checkpoints;
        lines(&[seal, self.sign(&payload)]).unwrap()
    }
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn run(
    bundle: PathBuf,
    key: Option<PathBuf>,
    artifacts: Option<PathBuf>,
) -> Result<(bool, String), EvidenceError> {
    let mut out = Vec::new();
    let action = Action::Verify {
        bundle,
        key,
        artifacts,
        links: true,
    };
    let holds = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(Evidence { action }.run(&mut out))?;
    Ok((holds, String::from_utf8(out).unwrap()))
}

#[test]
fn a_bundle_holds_and_the_answer_says_what_is_still_open() {
    let (files, signer) = (Files::new(), Signer::new());
    let bundle = files.write("bundle", &signer.bundle());
    let (holds, text) = run(bundle.clone(), None, None).unwrap();
    assert!(holds, "{text}");
    assert!(
        text.contains("prepare up to link 0") && text.contains("pin it with --key"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");

    for key in [
        files.write("key.pem", signer.key.pem().as_bytes()),
        files.write("key.der", signer.key.der()),
    ] {
        let (holds, text) = run(bundle.clone(), Some(key), None).unwrap();
        assert!(holds && text.contains("the one that you gave"), "{text}");
        assert!(!text.contains("pin it"), "{text}");
    }
}

#[test]
fn another_key_and_another_signature_are_refused() {
    let (files, signer, other) = (Files::new(), Signer::new(), Signer::new());
    let bundle = files.write("bundle", &signer.bundle());
    let key = files.write("key.pem", other.key.pem().as_bytes());
    let (holds, text) = run(bundle, Some(key), None).unwrap();
    assert!(!holds && text.contains("not by the one that you gave"), "{text}");

    // The payload of one signer under the signature of another, who claims to be the first.
    let genuine = signer.bundle();
    let mut forged: Vec<Envelope> = genuine
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let payload = forged[0].payload().unwrap();
    forged[0].signatures[0].sig = other.sign(&payload).signatures[0].sig.clone();
    let (holds, text) = run(files.write("forged", &lines(&forged).unwrap()), None, None).unwrap();
    assert!(!holds && text.contains("line 1 was forged or damaged"), "{text}");
}

/// With the real algorithm: each byte of the file, changed in its lowest and in its highest bit.
#[test]
fn every_changed_byte_of_a_bundle_is_found() {
    let signer = Signer::new();
    let bundle = signer.bundle();
    assert!(verified(&bundle, Some(&signer.key)).is_ok());
    for at in 0..bundle.len() {
        for mask in [0x01, 0x80] {
            let mut changed = bundle.clone();
            changed[at] ^= mask;
            assert!(
                verified(&changed, Some(&signer.key)).is_err(),
                "byte {at}, mask {mask}"
            );
        }
    }
}

#[test]
fn artifacts_are_compared_and_names_do_not_lead_out_of_the_folder() {
    let (files, signer) = (Files::new(), Signer::new());
    let bundle = files.write("bundle", &signer.bundle());
    files.write("escape", b"plan");
    files.write("artifacts/plan.json", b"plan");
    let folder = files.0.path().join("artifacts");
    let (holds, text) = run(bundle.clone(), None, Some(folder.clone())).unwrap();
    assert!(holds && text.contains("1 artifacts of your folder"), "{text}");
    assert!(
        text.contains("not in your folder: ../escape, timeline/boundary.json"),
        "{text}"
    );

    files.write("artifacts/timeline/boundary.json", b"another");
    let (holds, text) = run(bundle, None, Some(folder)).unwrap();
    assert!(!holds, "{text}");
    assert!(
        text.contains("`timeline/boundary.json` in your folder is not"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_an_error_and_what_is_no_bundle_does_not_hold() {
    let files = Files::new();
    let error = run(files.0.path().join("nothing"), None, None).unwrap_err();
    assert!(matches!(error, EvidenceError::Unreadable { .. }));
    let bundle = files.write("bundle", b"hello\n");
    assert!(!run(bundle.clone(), None, None).unwrap().0);
    let key = files.write("key", b"no key");
    let error = run(bundle, Some(key), None).unwrap_err();
    assert!(matches!(error, EvidenceError::NoKey { .. }), "{error}");
}
