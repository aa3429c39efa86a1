//! The bytes of one log object: inflated within a limit, or a reason why not.

use std::borrow::Cow;

/// Most bytes that one object may inflate to. CloudTrail objects stay below 50 MB; gzip can reach 1032:1.
pub const INFLATED_LIMIT: usize = 256 << 20;

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
    if !stored.starts_with(&[0x1f, 0x8b]) {
        return if stored.len() > limit {
            Err(Unreadable::TooLarge { limit })
        } else {
            Ok(Cow::Borrowed(stored))
        };
    }
    let (Some(crc), Some(length)) = (trailer(stored, 8), trailer(stored, 4)) else {
        return Err(Unreadable::DamagedGzip);
    };
    let mut reader = libdeflater::Decompressor::new();
    // The trailer's length is a hint that an attacker may choose: begin no larger than deflate could need.
    let plausible = stored.len().saturating_mul(1032).min(limit).max(1);
    let mut text = vec![0; usize::try_from(length).unwrap_or(limit).clamp(1, plausible)];
    let written = loop {
        match reader.gzip_decompress(stored, &mut text) {
            Ok(written) => break written,
            Err(libdeflater::DecompressionError::BadData) => return Err(Unreadable::DamagedGzip),
            Err(libdeflater::DecompressionError::InsufficientSpace) => {
                if text.len() >= limit {
                    return Err(Unreadable::TooLarge { limit });
                }
                let next = text.len().saturating_mul(2).min(limit);
                text.resize(next, 0);
            }
        }
    };
    text.truncate(written);
    // libdeflate stops after the first member without saying so; the object's last 8 bytes must be that member's.
    if u64::from(length) != written as u64 & 0xffff_ffff || crc != libdeflater::crc32(&text) {
        return Err(Unreadable::TrailingBytes);
    }
    Ok(Cow::Owned(text))
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
