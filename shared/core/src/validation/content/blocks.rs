//! How random bytes look, block by block.

use std::sync::LazyLock;

/// Block length in bytes. Partial encryption works in stripes of many kilobytes; a stripe of two blocks holds at
/// least one whole block wherever it begins.
pub const BLOCK: usize = 4096;

/// Least length of the last, shorter block for which the test still separates random bytes from base64.
const LEAST: usize = 128;

/// Bounds on the chi-square statistic of a block against the uniform distribution.
///
/// For random bytes it has mean 255 and variance 2·255·(1−1/n), so a standard deviation of 22.6: these are 5.1 deviations above
/// and 4.6 below. Text and records lie in the thousands; a counter or a table of all bytes lies near 0.
const RANDOM: std::ops::RangeInclusive<f64> = 150.0..=370.0;

/// Counts bytes and tells random blocks from others, over a stream of any length.
#[derive(Debug, Clone)]
pub struct BlockCounter {
    pending: Vec<u8>,
    total: [u64; 256],
    /// Counts of the last blocks that are not in `total` yet: narrow, so that adding a block's is one loop of vectors.
    recent: [u32; 256],
    recent_blocks: u32,
    statistics: BlockStatistics,
    in_stripe: bool,
}

/// What the blocks of an object look like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlockStatistics {
    /// Length in bytes.
    pub bytes: u64,
    /// Blocks that were long enough to be tested.
    pub blocks: u64,
    /// Blocks whose bytes are uniformly distributed.
    pub random: u64,
    /// Runs of random blocks.
    pub stripes: u64,
    /// Blocks of which more than one byte in a hundred is a control character.
    pub binary: u64,
    /// Shannon entropy of all bytes, in bits per byte.
    pub entropy: f64,
    /// Whether all bytes are the same one.
    pub one_byte: Option<u8>,
}

impl BlockStatistics {
    /// Random blocks as a share of all tested blocks, 0 to 1.
    #[must_use]
    pub fn random_share(&self) -> f64 {
        if self.blocks == 0 {
            0.0
        } else {
            as_float(self.random) / as_float(self.blocks)
        }
    }
}

impl Default for BlockCounter {
    fn default() -> Self {
        Self {
            pending: Vec::with_capacity(BLOCK),
            total: [0; 256],
            recent: [0; 256],
            recent_blocks: 0,
            statistics: BlockStatistics::default(),
            in_stripe: false,
        }
    }
}

impl BlockCounter {
    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if !self.pending.is_empty() {
            let missing = BLOCK.saturating_sub(self.pending.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(missing);
            self.pending.extend_from_slice(head);
            bytes = rest;
            if self.pending.len() == BLOCK {
                let block = std::mem::take(&mut self.pending);
                self.block(&block);
                self.pending = block;
                self.pending.clear();
            }
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            self.block(block);
        }
        self.pending.extend_from_slice(rest);
    }

    /// What the blocks look like, the last, shorter one included.
    #[must_use]
    pub fn finish(mut self) -> BlockStatistics {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.block(&rest);
        }
        self.add_recent();
        let mut statistics = self.statistics;
        statistics.entropy = shannon(&self.total, statistics.bytes);
        statistics.one_byte = self
            .total
            .iter()
            .zip(0_u8..=255)
            .find(|(count, _)| statistics.bytes > 0 && **count == statistics.bytes)
            .map(|(_, byte)| byte);
        statistics
    }

    fn add_recent(&mut self) {
        for (total, recent) in self.total.iter_mut().zip(&mut self.recent) {
            *total = total.wrapping_add(u64::from(std::mem::take(recent)));
        }
        self.recent_blocks = 0;
    }

    fn block(&mut self, block: &[u8]) {
        let counts = histogram(block);
        // At most 4096² in all: 32 bits are enough, and the loop becomes one of vectors.
        let mut squares = 0_u32;
        for (recent, count) in self.recent.iter_mut().zip(&counts) {
            *recent = recent.wrapping_add(u32::from(*count));
            squares = squares.wrapping_add(u32::from(*count).wrapping_mul(u32::from(*count)));
        }
        self.recent_blocks += 1;
        if self.recent_blocks == RECENT {
            self.add_recent();
        }
        let length = block.len() as u64;
        self.statistics.bytes += length;
        if block.len() < LEAST {
            if is_binary(&counts, length) && length >= 16 {
                self.statistics.binary += 1;
            }
            return;
        }
        let chi_square = f64::from(squares) * 256.0 / as_float(length) - as_float(length);
        let random = RANDOM.contains(&chi_square);
        self.statistics.blocks += 1;
        self.statistics.random += u64::from(random);
        self.statistics.stripes += u64::from(random && !self.in_stripe);
        self.statistics.binary += u64::from(is_binary(&counts, length));
        self.in_stripe = random;
    }
}

/// After how many blocks the narrow counts are added up: 2¹⁹ blocks of 2¹² bytes stay within 32 bits.
const RECENT: u32 = 1 << 19;

/// Counts of a block's bytes. Eight tables, so that equal neighbours do not wait for each other's store, and one load for
/// eight bytes; wrapping, because no count of a block can leave 16 bits and the loop is the whole cost of the scan.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the low byte is what is wanted, and always an index into a table of 256"
)]
fn histogram(block: &[u8]) -> [u16; 256] {
    let mut tables = [[0_u16; 256]; 8];
    let count = |table: &mut [u16; 256], byte: u8| {
        let slot = &mut table[usize::from(byte)];
        *slot = slot.wrapping_add(1);
    };
    let (words, rest) = block.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let [a, b, c, d, e, f, g, h] = &mut tables;
        count(a, word as u8);
        count(b, (word >> 8) as u8);
        count(c, (word >> 16) as u8);
        count(d, (word >> 24) as u8);
        count(e, (word >> 32) as u8);
        count(f, (word >> 40) as u8);
        count(g, (word >> 48) as u8);
        count(h, (word >> 56) as u8);
    }
    let [sum, others @ ..] = &mut tables;
    for byte in rest {
        count(sum, *byte);
    }
    for other in others {
        for (sum, count) in sum.iter_mut().zip(other) {
            *sum = sum.wrapping_add(*count);
        }
    }
    *sum
}

/// Control characters other than tab, line feed, form feed, carriage return and escape: one in a hundred or more.
fn is_binary(counts: &[u16; 256], length: u64) -> bool {
    let control: u64 = CONTROL
        .iter()
        .filter_map(|range| counts.get(range.clone()))
        .flatten()
        .map(|count| u64::from(*count))
        .sum();
    control * 100 > length
}

const CONTROL: [std::ops::RangeInclusive<usize>; 5] = [0..=8, 11..=11, 14..=26, 28..=31, 127..=127];

/// Shannon's H = −Σ p·log2 p, with p = c/n, as log2 n − Σ c·log2 c / n: of small counts the terms are known.
fn shannon(counts: &[u64; 256], bytes: u64) -> f64 {
    if bytes == 0 {
        return 0.0;
    }
    let small = &*SMALL;
    let terms: f64 = counts
        .iter()
        .map(|count| {
            let known = usize::try_from(*count).ok().and_then(|count| small.get(count));
            known.copied().unwrap_or_else(|| term(*count))
        })
        .sum();
    let total = as_float(bytes);
    (total.log2() - terms / total).max(0.0)
}

/// c·log2 c.
fn term(count: u64) -> f64 {
    match count {
        0 => 0.0,
        count => as_float(count) * as_float(count).log2(),
    }
}

/// [`term`] of the counts in an object of a few kilobytes: a logarithm for every byte value costs as much as its blocks.
static SMALL: LazyLock<Vec<f64>> = LazyLock::new(|| (0..1024).map(term).collect());

#[expect(
    clippy::cast_precision_loss,
    reason = "shares and statistics need no more than 52 bits"
)]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::validation::testing::random_bytes;

    fn statistics(bytes: &[u8]) -> BlockStatistics {
        let mut counter = BlockCounter::default();
        counter.update(bytes);
        counter.finish()
    }

    #[test]
    fn random_bytes_are_random_in_nearly_every_block() {
        let seen = statistics(&random_bytes(1, 4096 * 500));
        assert!(seen.random_share() > 0.99, "{seen:?}");
        assert!(seen.entropy > 7.99);
    }

    #[test]
    fn text_counters_and_base64_are_not_random() {
        let counter: Vec<u8> = (0..40_960_u32).map(|i| i.to_le_bytes()[0]).collect();
        let base64: Vec<u8> = random_bytes(2, 40_960)
            .iter()
            .map(|b| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(b % 64)])
            .collect();
        let text = "order 1234; customer Ada Lovelace; total 12.50 EUR\n".repeat(800);
        for bytes in [counter.as_slice(), &base64, text.as_bytes(), &base64[..256]] {
            assert_eq!(statistics(bytes).random, 0);
        }
    }

    #[test]
    fn stripes_are_counted() {
        let mut bytes = Vec::new();
        for stripe in 0..5 {
            bytes.extend(random_bytes(stripe, 8192));
            bytes.extend("plain text of a report. ".repeat(700).bytes());
        }
        let seen = statistics(&bytes);
        assert_eq!(seen.stripes, 5, "{seen:?}");
        assert!((0.1..0.4).contains(&seen.random_share()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_entropy_is_that_of_the_definition(
            counts in prop::collection::vec(prop_oneof![Just(0_u64), 0_u64..3000, 0_u64..1_000_000_000], 256),
        ) {
            let counts: [u64; 256] = counts.try_into().unwrap();
            let bytes: u64 = counts.iter().sum();
            let defined: f64 = counts
                .iter()
                .filter(|count| **count > 0)
                .map(|count| as_float(*count) / as_float(bytes))
                .map(|p| -p * p.log2())
                .sum();
            prop_assert!((shannon(&counts, bytes) - defined).abs() < 1e-9);
        }

        #[test]
        fn how_the_bytes_arrive_changes_nothing(
            seed in any::<u64>(),
            length in 0_usize..20_000,
            cuts in prop::collection::vec(1_usize..6000, 1..12),
        ) {
            let bytes = random_bytes(seed, length);
            let mut counter = BlockCounter::default();
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                counter.update(head);
                rest = tail;
            }
            prop_assert_eq!(counter.finish(), statistics(&bytes));
        }
    }
}
