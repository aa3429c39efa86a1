//! The authoritative servers of the emulator's zones: one socket on the loopback interface that answers from the
//! records as Route 53 would, health checks included.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::Shared;
use super::route53::resolved;
use crate::accounts::RECOVERY;

/// Largest datagram of DNS without extensions (RFC 1035, 4.2.1).
const LARGEST: usize = 512;
/// Response, authoritative (RFC 1035, 4.1.1).
const RESPONSE: [u8; 2] = [0x84, 0];
/// Where the question begins, and a pointer to it.
const QUESTION: usize = 12;
const OWNER: [u8; 2] = [0xc0, 12];

/// A running server. It ends when this value is dropped.
#[derive(Debug)]
pub(super) struct NameServer {
    server: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl NameServer {
    pub(super) fn start(socket: UdpSocket, shared: Arc<Shared>) -> Self {
        let server = tokio::spawn(async move {
            let mut datagram = [0; LARGEST];
            while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
                let Some(asked) = datagram.get(..length).and_then(Asked::read) else {
                    continue;
                };
                let values = resolved(&shared, RECOVERY, &asked.name, asked.record_type).await;
                let answer = asked.answer(&values);
                if let Err(error) = socket.send_to(&answer, from).await {
                    tracing::warn!("a name server could not answer: {error}");
                }
            }
        });
        Self { server }
    }
}

/// One question.
struct Asked {
    id: [u8; 2],
    name: String,
    record_type: &'static str,
    /// Name, type and class as they stood in the question.
    question: Vec<u8>,
}

impl Asked {
    fn read(datagram: &[u8]) -> Option<Self> {
        let id = datagram.get(..2)?.try_into().ok()?;
        let mut name = String::new();
        let mut at = QUESTION;
        loop {
            let length = usize::from(*datagram.get(at)?);
            let label = datagram.get(at + 1..at + 1 + length)?;
            at += 1 + length;
            if length == 0 {
                break;
            }
            name.extend(label.iter().map(|byte| char::from(*byte)));
            name.push('.');
        }
        let record_type = match datagram.get(at..at + 2)? {
            [0, 1] => "A",
            [0, 5] => "CNAME",
            [0, 28] => "AAAA",
            _ => return None,
        };
        Some(Self {
            id,
            name,
            record_type,
            question: datagram.get(QUESTION..at + 4)?.to_vec(),
        })
    }

    fn answer(&self, values: &[String]) -> Vec<u8> {
        let records: Vec<Vec<u8>> = values.iter().filter_map(|value| self.data(value)).collect();
        let count = u16::try_from(records.len()).unwrap_or_default();
        let mut answer = [self.id, RESPONSE, [0, 1], count.to_be_bytes(), [0, 0], [0, 0]].concat();
        answer.extend(&self.question);
        let kind_and_class = self.question.len().saturating_sub(4);
        for data in records {
            answer.extend(OWNER);
            answer.extend(self.question.get(kind_and_class..).unwrap_or_default());
            answer.extend(60_u32.to_be_bytes());
            answer.extend(u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
            answer.extend(data);
        }
        answer
    }

    fn data(&self, value: &str) -> Option<Vec<u8>> {
        match self.record_type {
            "A" => Some(value.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
            "AAAA" => Some(value.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
            _ => {
                let mut bytes = Vec::new();
                for label in value.trim_end_matches('.').split('.') {
                    bytes.push(u8::try_from(label.len()).ok()?);
                    bytes.extend(label.bytes());
                }
                bytes.push(0);
                Some(bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use blackstart_core::dns::message::{RecordType, answer, question};

    use super::*;

    #[test]
    fn what_is_asked_is_answered_in_the_same_words() {
        for (kind, value) in [
            (RecordType::A, "198.51.100.7"),
            (RecordType::Aaaa, "2001:db8::7"),
            (RecordType::Cname, "lb.example.net."),
        ] {
            let asked = question(7, "orders.example.com.", kind).unwrap();
            let read = Asked::read(&asked).unwrap();
            assert_eq!(read.name, "orders.example.com.");
            let answered = read.answer(&[value.to_owned()]);
            assert_eq!(answer(&answered, 7, &read.name, kind), Ok(vec![value.to_owned()]));
        }
        assert!(Asked::read(&[0; 5]).is_none());
    }
}
