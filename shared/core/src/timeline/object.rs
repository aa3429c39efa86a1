//! The bytes of one log object: inflated within a limit, or a reason why not.

use std::borrow::Cow;

/// Most bytes that one object may inflate to. CloudTrail objects stay below 50 MB; gzip can reach 1032:1.
pub const INFLATED_LIMIT: usize = 256 << 20;

/// Bytes of text whose memory is kept for the next object.
const KEPT: usize = 64 << 20;

/// The object gave no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The gzip stream is cut off, damaged, or its checksum is wrong.
    #[error("the gzip stream is truncated or damaged")]
    DamagedGzip,
    /// The object would inflate beyond the limit.
    #[error("the object inflates to more than {limit} bytes")]
    TooLarge {
        /// The limit that was applied.
        limit: usize,
    },
    /// More follows the first gzip member, and would go unread.
    #[error("the object holds more than one gzip member, or bytes after the first")]
    TrailingBytes,
}

/// The text of a stored object: inflated when it begins like gzip, as it is otherwise.
///
/// # Errors
/// [`Unreadable`] with the reason; never a part of the content.
pub fn inflate(stored: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, Unreadable> {
    let mut inflater = Inflater::default();
    if let Inflated::Written(length) = inflater.run(stored, limit)? {
        inflater.text.truncate(length);
        Ok(Cow::Owned(inflater.text))
    } else {
        Ok(Cow::Borrowed(stored))
    }
}

/// Inflates one object after the other into the same memory.
#[derive(Default)]
pub struct Inflater {
    reader: libdeflater::Decompressor,
    text: Vec<u8>,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater")
            .field("held", &self.text.len())
            .finish_non_exhaustive()
    }
}

enum Inflated {
    AsStored,
    Written(usize),
}

impl Inflater {
    /// The same as [`inflate`].
    ///
    /// # Errors
    /// [`Unreadable`] with the reason; never a part of the content.
    pub fn inflate<'t>(&'t mut self, stored: &'t [u8], limit: usize) -> Result<&'t [u8], Unreadable> {
        if self.text.len() > KEPT {
            self.text = Vec::new();
        }
        match self.run(stored, limit)? {
            Inflated::AsStored => Ok(stored),
            Inflated::Written(length) => Ok(self.text.get(..length).unwrap_or_default()),
        }
    }

    fn run(&mut self, stored: &[u8], limit: usize) -> Result<Inflated, Unreadable> {
        if !stored.starts_with(&[0x1f, 0x8b]) {
            return if stored.len() > limit {
                Err(Unreadable::TooLarge { limit })
            } else {
                Ok(Inflated::AsStored)
            };
        }
        let (Some(crc), Some(length), Some(body)) = (trailer(stored, 8), trailer(stored, 4), body(stored))
        else {
            return Err(Unreadable::DamagedGzip);
        };
        // The trailer's length is a hint that an attacker may choose: begin no larger than deflate could need.
        let plausible = stored.len().saturating_mul(1032).min(limit).max(1);
        let first = usize::try_from(length).unwrap_or(limit).clamp(1, plausible);
        if self.text.len() < first {
            self.text.resize(first, 0);
        }
        let written = loop {
            let room = self.text.len().min(limit.max(1));
            let Some(text) = self.text.get_mut(..room) else {
                return Err(Unreadable::TooLarge { limit });
            };
            match self.reader.deflate_decompress(body, text) {
                Ok(written) => break written,
                Err(libdeflater::DecompressionError::BadData) => return Err(Unreadable::DamagedGzip),
                Err(libdeflater::DecompressionError::InsufficientSpace) => {
                    if room >= limit {
                        return Err(Unreadable::TooLarge { limit });
                    }
                    let next = room.saturating_mul(2).min(limit);
                    self.text.resize(next, 0);
                }
            }
        };
        let text = self.text.get(..written).unwrap_or_default();
        // libdeflate stops after the first member without saying so; the object's last 8 bytes must be that member's.
        if u64::from(length) == written as u64 & 0xffff_ffff && crc == libdeflater::crc32(text) {
            return Ok(Inflated::Written(written));
        }
        // Which of the two it is decides a name alone, so it costs no memory of its own.
        let member = self.text.get_mut(..written).unwrap_or_default();
        Err(match self.reader.gzip_decompress(stored, member) {
            Ok(_) => Unreadable::TrailingBytes,
            Err(_) => Unreadable::DamagedGzip,
        })
    }
}

/// What follows the header of a gzip member, without the last 8 bytes (RFC 1952, section 2.3).
fn body(stored: &[u8]) -> Option<&[u8]> {
    const DEFLATE: u8 = 8;
    const HEADER_CHECKED: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;
    let (header, mut left) = stored.split_first_chunk::<10>()?;
    let [0x1f, 0x8b, DEFLATE, flags, ..] = *header else {
        return None;
    };
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, after) = left.split_first_chunk::<2>()?;
        left = after.get(u16::from_le_bytes(*length).into()..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            left = left.get(memchr::memchr(0, left)? + 1..)?;
        }
    }
    if flags & HEADER_CHECKED != 0 {
        left = left.get(2..)?;
    }
    left.get(..left.len().checked_sub(8)?)
}

fn trailer(stored: &[u8], from_end: usize) -> Option<u32> {
    let start = stored.len().checked_sub(from_end)?;
    let bytes: [u8; 4] = stored.get(start..start + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut stored = vec![0; writer.gzip_compress_bound(text.len())];
        let length = writer.gzip_compress(text, &mut stored).unwrap();
        stored.truncate(length);
        stored
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for text in [&b""[..], b"x", &[b'a'; 100_000]] {
            assert_eq!(inflate(&gzip(text), INFLATED_LIMIT).unwrap(), text);
        }
        assert_eq!(inflate(b"{}", INFLATED_LIMIT).unwrap(), &b"{}"[..]);
    }

    #[test]
    fn every_field_of_a_header_is_passed_over_and_a_wrong_checksum_is_damage() {
        let plain = gzip(b"text");
        for (flags, fields) in [
            (0_u8, &b""[..]),
            (1, b""),
            (4, b"\x03\0abc"),
            (8, b"name\0"),
            (16, b"comment\0"),
            (2, b"\x01\x02"),
            (31, b"\x03\0abcname\0comment\0\x01\x02"),
        ] {
            let mut stored = plain[..10].to_vec();
            stored[3] = flags;
            stored.extend(fields);
            stored.extend(&plain[10..]);
            assert_eq!(inflate(&stored, INFLATED_LIMIT).unwrap(), &b"text"[..], "{flags}");
            for end in 2..10 + fields.len() {
                assert_eq!(
                    inflate(&stored[..end], INFLATED_LIMIT),
                    Err(Unreadable::DamagedGzip)
                );
            }
        }
        for (place, bit) in [(3, 0x20), (2, 1), (plain.len() - 8, 1), (plain.len() - 4, 1)] {
            let mut stored = plain.clone();
            stored[place] ^= bit;
            assert_eq!(
                inflate(&stored, INFLATED_LIMIT),
                Err(Unreadable::DamagedGzip),
                "{place}"
            );
        }
    }

    #[test]
    fn a_bomb_is_refused_whatever_its_trailer_says() {
        let mut bomb = gzip(&vec![0; 1 << 20]);
        assert_eq!(
            inflate(&bomb, 1 << 16),
            Err(Unreadable::TooLarge { limit: 1 << 16 })
        );
        let end = bomb.len();
        bomb[end - 4..].copy_from_slice(&1_u32.to_le_bytes());
        assert!(inflate(&bomb, 1 << 16).is_err());
    }

    #[test]
    fn a_second_member_is_not_silently_dropped() {
        let mut two = gzip(b"one");
        two.extend(gzip(b"two!"));
        assert_eq!(inflate(&two, INFLATED_LIMIT), Err(Unreadable::TrailingBytes));
    }

    proptest! {
        #[test]
        fn a_truncated_stream_is_never_read_as_whole(text in proptest::collection::vec(any::<u8>(), 1..500), keep in 0.0..1.0_f64) {
            let stored = gzip(&text);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
            let cut = (stored.len() as f64 * keep) as usize;
            prop_assume!(cut >= 2 && cut < stored.len());
            prop_assert!(inflate(&stored[..cut], INFLATED_LIMIT).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut stored = vec![0x1f, 0x8b];
            stored.extend(bytes);
            let _ = inflate(&stored, 1 << 16);
        }
    }
}
