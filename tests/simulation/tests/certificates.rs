//! What a cutover thinks of real certificates at real listeners, before it moves traffic to one.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it")]

use blackstart_core::artifact::Digest;
use blackstart_core::dns::{Endpoint, Untrusted};
use blackstart_core::plan::Authorities;
use blackstart_local::authority::{Authority, Issued, TlsListener, Validity, self_signed};
use cutover::endpoint::{document, handshake};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HOST: &str = "orders.example.com";

fn days(from: i64, to: i64) -> Validity {
    let now = Timestamp::now();
    let day = |days: i64| now + SignedDuration::from_hours(24 * days);
    (day(from), day(to))
}

fn authority() -> Authority {
    Authority::new("authority of the drill", days(-1, 30)).unwrap()
}

fn bundle(authority: &Authority) -> Authorities {
    let pem = authority.pem();
    Authorities {
        sha256: Digest::of(pem.as_bytes()),
        pem,
    }
}

/// Serves under a certificate, and answers every request with a nonce.
async fn serve(issued: Issued) -> Endpoint {
    let listener = TlsListener::bind(issued).await.unwrap();
    let address = listener.address().unwrap();
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.shake().await else {
                continue;
            };
            let mut asked = vec![0; 4_096];
            let read = stream.read(&mut asked).await.unwrap_or_default();
            let asked = String::from_utf8_lossy(asked.get(..read).unwrap_or_default()).into_owned();
            let (status, body) = if asked.starts_with("GET /health ") && asked.contains(HOST) {
                ("200 OK", "nonce-7")
            } else {
                ("404 Not Found", "")
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _gone = stream.write_all(answer.as_bytes()).await;
            let _closed = stream.shutdown().await;
        }
    });
    Endpoint {
        name: HOST.to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
    }
}

#[tokio::test]
async fn a_certificate_of_a_named_authority_is_accepted_and_the_document_is_read_under_the_real_name() {
    let authority = authority();
    let endpoint = serve(authority.issue(HOST, days(-1, 1)).unwrap()).await;
    let bundle = bundle(&authority);
    assert_eq!(handshake(&endpoint, Some(&bundle)).await, Ok(()));
    assert_eq!(
        document(&endpoint, Some(&bundle), "/health").await.as_deref(),
        Ok("nonce-7")
    );
    let missing = document(&endpoint, Some(&bundle), "/elsewhere").await;
    assert!(
        matches!(&missing, Err(Untrusted::NoAnswer(why)) if why.contains("404")),
        "{missing:?}"
    );
}

#[tokio::test]
async fn every_certificate_that_proves_nothing_has_its_own_verdict() {
    let authority = authority();
    let bundle = bundle(&authority);
    let stranger = Authority::new("somebody else", days(-1, 30)).unwrap();
    let expired = authority.issue(HOST, days(-3, -1)).unwrap();
    let early = authority.issue(HOST, days(1, 3)).unwrap();
    let elsewhere = authority.issue("old.example.com", days(-1, 1)).unwrap();
    let own = self_signed(HOST, days(-1, 1)).unwrap();
    let strange = stranger.issue(HOST, days(-1, 1)).unwrap();
    for (issued, wanted) in [
        (expired, "expired"),
        (early, "not valid yet"),
        (elsewhere, "old.example.com"),
        (own, "self-signed"),
        (strange, "no trusted authority"),
    ] {
        let endpoint = serve(issued).await;
        let Err(untrusted) = handshake(&endpoint, Some(&bundle)).await else {
            panic!("accepted, although {wanted}");
        };
        assert!(
            untrusted.to_string().contains(wanted),
            "{untrusted} instead of {wanted}"
        );
        let unread = document(&endpoint, Some(&bundle), "/health").await;
        assert_eq!(unread, Err(untrusted), "nothing is read from such a place");
    }
}

#[tokio::test]
async fn without_a_bundle_only_the_authorities_of_the_system_count() {
    let endpoint = serve(authority().issue(HOST, days(-1, 1)).unwrap()).await;
    let untrusted = handshake(&endpoint, None).await.unwrap_err();
    // Where the system has no authorities at all, nobody is trusted either.
    assert!(
        matches!(untrusted, Untrusted::UnknownIssuer | Untrusted::NotAccepted(_)),
        "{untrusted}"
    );
}

#[tokio::test]
async fn whoever_speaks_no_tls_or_nothing_at_all_is_not_trusted() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = silent.accept().await {
            let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let mut endpoint = Endpoint {
        name: HOST.to_owned(),
        address: "127.0.0.1".to_owned(),
        port: address.port(),
    };
    let bundle = bundle(&authority());
    let plain = handshake(&endpoint, Some(&bundle)).await;
    assert!(matches!(plain, Err(Untrusted::NoAnswer(_))), "{plain:?}");
    // A port that nobody listens at.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    endpoint.port = free.local_addr().unwrap().port();
    drop(free);
    let refused = handshake(&endpoint, Some(&bundle)).await;
    assert!(matches!(refused, Err(Untrusted::NoAnswer(_))), "{refused:?}");
}
