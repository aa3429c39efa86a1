//! One question to one authoritative server, and its answer: as much of DNS (RFC 1035, RFC 3596) as that takes.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest name on the wire (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 255;
/// Longest label (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;
/// Class `IN`.
const INTERNET: u16 = 1;
/// The flags of a response (RFC 1035, 4.1.1).
const IS_RESPONSE: u16 = 0x8000;
const IS_AUTHORITATIVE: u16 = 0x0400;
const IS_TRUNCATED: u16 = 0x0200;
const RESPONSE_CODE: u16 = 0x000f;

/// The record types that carry traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
}

impl RecordType {
    /// By its name; `None` for every other type.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "A" => Some(Self::A),
            "AAAA" => Some(Self::Aaaa),
            "CNAME" => Some(Self::Cname),
            _ => None,
        }
    }

    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Cname => 5,
            Self::Aaaa => 28,
        }
    }
}

/// A question or an answer that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// The name has a label that is empty or longer than 63 bytes, or is too long as a whole.
    #[error("the name cannot be asked for")]
    Name,
    /// The message ends too early, or points outside of itself.
    #[error("the message is cut off or broken")]
    Broken,
    /// It answers another question.
    #[error("the message answers another question")]
    OtherQuestion,
    /// It does not fit into a datagram.
    #[error("the answer is truncated")]
    Truncated,
    /// The server does not answer for the zone.
    #[error("the server does not answer with authority")]
    NotAuthoritative,
    /// The server refuses or fails.
    #[error("the server answers with code {0}")]
    Failed(u8),
}

/// The question for a name, as a datagram. `id` comes back in the answer.
///
/// # Errors
/// [`NotUnderstood::Name`].
pub fn question(id: u16, name: &str, record_type: RecordType) -> Result<Vec<u8>, NotUnderstood> {
    let mut message = Vec::with_capacity(64);
    // One question, nothing else; recursion is not desired.
    for field in [id, 0, 1, 0, 0, 0] {
        message.extend(field.to_be_bytes());
    }
    message.extend(encoded(name)?);
    message.extend(record_type.code().to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    Ok(message)
}

fn encoded(name: &str) -> Result<Vec<u8>, NotUnderstood> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).map_err(|_| NotUnderstood::Name)?;
        if label.is_empty() || label.len() > LONGEST_LABEL {
            return Err(NotUnderstood::Name);
        }
        bytes.push(length);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    if bytes.len() > LONGEST_NAME {
        return Err(NotUnderstood::Name);
    }
    Ok(bytes)
}

/// The values of the asked name and type in an authoritative answer, sorted; empty when there are none.
///
/// # Errors
/// [`NotUnderstood`] for everything that is not an authoritative answer to exactly this question.
pub fn answer(
    message: &[u8],
    id: u16,
    name: &str,
    record_type: RecordType,
) -> Result<Vec<String>, NotUnderstood> {
    let mut reader = Reader { message, at: 0 };
    let [found, flags, questions, answers, _, _] = reader.header()?;
    if found != id || flags & IS_RESPONSE == 0 || questions != 1 {
        return Err(NotUnderstood::OtherQuestion);
    }
    let wanted = super::fully_qualified(name);
    let asked = (reader.name()?, reader.u16()?, reader.u16()?);
    if asked != (wanted.clone(), record_type.code(), INTERNET) {
        return Err(NotUnderstood::OtherQuestion);
    }
    if flags & IS_TRUNCATED != 0 {
        return Err(NotUnderstood::Truncated);
    }
    match flags & RESPONSE_CODE {
        // Without an error, or without such a name (RFC 1035, 4.1.1).
        0 | 3 => {}
        code => return Err(NotUnderstood::Failed(u8::try_from(code).unwrap_or(u8::MAX))),
    }
    if flags & IS_AUTHORITATIVE == 0 {
        return Err(NotUnderstood::NotAuthoritative);
    }
    let mut values = Vec::new();
    for _ in 0..answers {
        let owner = reader.name()?;
        let (kind, class) = (reader.u16()?, reader.u16()?);
        // The time to live.
        reader.take(4)?;
        let length = usize::from(reader.u16()?);
        let begins = reader.at;
        let value = reader.value(record_type, length)?;
        reader.at = begins + length;
        if owner == wanted && kind == record_type.code() && class == INTERNET {
            values.push(value.ok_or(NotUnderstood::Broken)?);
        }
    }
    values.sort_unstable();
    Ok(values)
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], NotUnderstood> {
        let end = self.at.checked_add(count).ok_or(NotUnderstood::Broken)?;
        let taken = self.message.get(self.at..end).ok_or(NotUnderstood::Broken)?;
        self.at = end;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, NotUnderstood> {
        let bytes: [u8; 2] = self.take(2)?.try_into().map_err(|_| NotUnderstood::Broken)?;
        Ok(u16::from_be_bytes(bytes))
    }

    fn header(&mut self) -> Result<[u16; 6], NotUnderstood> {
        let mut fields = [0; 6];
        for field in &mut fields {
            *field = self.u16()?;
        }
        Ok(fields)
    }

    /// A name, in lower case with the final dot. Pointers lead backwards only, so that it ends (RFC 1035, 4.1.4).
    fn name(&mut self) -> Result<String, NotUnderstood> {
        let mut name = String::new();
        let mut behind = None;
        loop {
            let begins = self.at;
            let length = usize::from(*self.take(1)?.first().ok_or(NotUnderstood::Broken)?);
            match length {
                0 => break,
                1..=LONGEST_LABEL => {
                    let label = self.take(length)?;
                    name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                    name.push('.');
                }
                _ if length & 0xc0 == 0xc0 => {
                    let low = usize::from(*self.take(1)?.first().ok_or(NotUnderstood::Broken)?);
                    let target = (length & 0x3f) << 8 | low;
                    if target >= begins {
                        return Err(NotUnderstood::Broken);
                    }
                    behind.get_or_insert(self.at);
                    self.at = target;
                }
                _ => return Err(NotUnderstood::Broken),
            }
            if name.len() > LONGEST_NAME {
                return Err(NotUnderstood::Broken);
            }
        }
        if let Some(at) = behind {
            self.at = at;
        }
        Ok(name)
    }

    /// The value of a record of this type; `None` where it has not the length of one.
    fn value(&mut self, record_type: RecordType, length: usize) -> Result<Option<String>, NotUnderstood> {
        let begins = self.at;
        let bytes = self.take(length)?;
        Ok(match record_type {
            RecordType::A => <[u8; 4]>::try_from(bytes)
                .ok()
                .map(|bytes| Ipv4Addr::from(bytes).to_string()),
            RecordType::Aaaa => <[u8; 16]>::try_from(bytes)
                .ok()
                .map(|bytes| Ipv6Addr::from(bytes).to_string()),
            RecordType::Cname => {
                self.at = begins;
                Some(self.name()?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "shop.example.com.";

    /// An authoritative answer whose owner is a pointer to the question, as servers send it.
    fn response(record_type: RecordType, flags: u16, data: &[&[u8]]) -> Vec<u8> {
        let mut message = question(7, NAME, record_type).unwrap();
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[6..8].copy_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        for data in data {
            message.extend([0xc0, 12]);
            message.extend(record_type.code().to_be_bytes());
            message.extend(INTERNET.to_be_bytes());
            message.extend(60_u32.to_be_bytes());
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(*data);
        }
        message
    }

    const GOOD: u16 = IS_RESPONSE | IS_AUTHORITATIVE;

    #[test]
    fn the_values_of_an_answer_are_read() {
        let message = response(RecordType::A, GOOD, &[&[198, 51, 100, 7], &[192, 0, 2, 1]]);
        assert_eq!(
            answer(&message, 7, "Shop.Example.Com", RecordType::A),
            Ok(vec!["192.0.2.1".to_owned(), "198.51.100.7".to_owned()])
        );
        let message = response(RecordType::Aaaa, GOOD, &[&Ipv6Addr::LOCALHOST.octets()]);
        assert_eq!(
            answer(&message, 7, NAME, RecordType::Aaaa),
            Ok(vec!["::1".to_owned()])
        );
        // `lb` and then a pointer to `example.com.` in the question.
        let message = response(RecordType::Cname, GOOD, &[&[2, b'l', b'b', 0xc0, 17]]);
        assert_eq!(
            answer(&message, 7, NAME, RecordType::Cname),
            Ok(vec!["lb.example.com.".to_owned()])
        );
        let nothing = response(RecordType::A, GOOD | 3, &[]);
        assert_eq!(answer(&nothing, 7, NAME, RecordType::A), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_refused() {
        let good = response(RecordType::A, GOOD, &[&[198, 51, 100, 7]]);
        let refused = |message: &[u8]| answer(message, 7, NAME, RecordType::A);
        assert_eq!(
            answer(&good, 8, NAME, RecordType::A),
            Err(NotUnderstood::OtherQuestion)
        );
        assert_eq!(
            answer(&good, 7, "other.example.com.", RecordType::A),
            Err(NotUnderstood::OtherQuestion)
        );
        let flags = |flags| response(RecordType::A, flags, &[&[198, 51, 100, 7]]);
        assert_eq!(refused(&flags(IS_RESPONSE)), Err(NotUnderstood::NotAuthoritative));
        assert_eq!(
            refused(&flags(GOOD | IS_TRUNCATED)),
            Err(NotUnderstood::Truncated)
        );
        assert_eq!(refused(&flags(GOOD | 5)), Err(NotUnderstood::Failed(5)));
        assert_eq!(refused(&flags(0)), Err(NotUnderstood::OtherQuestion));
        assert_eq!(
            refused(&response(RecordType::A, GOOD, &[&[1, 2]])),
            Err(NotUnderstood::Broken)
        );
        for name in ["", "a..b", &"a".repeat(64), &"a.".repeat(200)] {
            assert_eq!(
                question(1, name, RecordType::A),
                Err(NotUnderstood::Name),
                "{name}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

        #[test]
        fn no_message_stops_the_reader(
            message in prop::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let _ = answer(&message, 7, NAME, RecordType::Cname);
            let mut bent = response(RecordType::Cname, GOOD, &[&[2, b'l', b'b', 0xc0, 17]]);
            let at = at.index(bent.len());
            bent[at] = byte;
            let _ = answer(&bent, 7, NAME, RecordType::Cname);
        }
    }
}
