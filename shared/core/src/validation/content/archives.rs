//! What an archive says about its own size. Nothing is unpacked, so no archive can exhaust the scan; but what unpacks to
//! far more than any backup holds is no data of a workload.

use super::formats::Format;

/// From this ratio of unpacked to stored bytes on an archive is no ordinary one. Text packs to a twentieth or so.
const RATIO: u64 = 100;

/// Below this many unpacked bytes no archive is a bomb, whatever its ratio.
const LEAST: u64 = 1 << 30;

/// Signature of an entry of a ZIP central directory (APPNOTE.TXT 4.3.12).
const CENTRAL_ENTRY: &[u8] = b"PK\x01\x02";

/// How many bytes an archive claims to unpack to, if that is out of all proportion to its length.
pub(super) fn bomb(format: &Format, bytes: u64, tail: &[u8]) -> Option<u64> {
    let claimed = match format.name {
        "gzip" => gzip(tail),
        "ZIP" | "empty ZIP" => zip(tail),
        _ => return None,
    };
    (claimed >= LEAST && claimed / RATIO >= bytes).then_some(claimed)
}

/// The last four bytes of a member: its length modulo 2³² (RFC 1952, 2.3.1).
fn gzip(tail: &[u8]) -> u64 {
    tail.last_chunk::<4>()
        .map_or(0, |length| u64::from(u32::from_le_bytes(*length)))
}

/// The unpacked sizes of those entries of the central directory that the tail holds: at least so much.
fn zip(tail: &[u8]) -> u64 {
    memchr::memmem::find_iter(tail, CENTRAL_ENTRY)
        .filter_map(|at| {
            let size = tail.get(at..)?.get(24..28)?.first_chunk::<4>()?;
            Some(u64::from(u32::from_le_bytes(*size)))
        })
        .fold(0, u64::saturating_add)
}
