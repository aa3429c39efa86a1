use proptest::prelude::*;

use super::*;

/// What one step takes beside waiting, in milliseconds: a session, two reads, a write and six calls of the ledger.
const STEP: u64 = 400;
/// Iterations of an inline Map at once: `MaxConcurrency` in `cutover.asl.json`.
const LANES: usize = 20;

fn account(number: usize) -> AccountId {
    AccountId::try_from(format!("{number:012}")).unwrap()
}

/// Plays a Map over accounts: each lane takes the next account when it is done with one. Returns when each write began,
/// by account, and where the time went.
fn play(accounts: usize, each: usize, kind: DocumentKind) -> (Vec<Vec<u64>>, Spent) {
    let mut pace = Pace::default();
    let mut lanes = [0_u64; LANES];
    let mut writes = Vec::new();
    let mut spent = Spent::default();
    for number in 0..accounts {
        let lane = lanes.iter_mut().min().unwrap();
        let mut now = *lane;
        let mut begun = Vec::new();
        for _ in 0..each {
            let wait = pace.wait(&account(number), kind, now);
            now += wait;
            begun.push(now);
            now += STEP;
            spent = spent.plus(Spent {
                rate_limits: wait,
                propagation: 0,
                itself: STEP,
            });
        }
        *lane = now;
        writes.push(begun);
    }
    (writes, spent)
}

/// The most calls that `limit` allows between two moments, both included.
fn allowed(limit: Limit, milliseconds: u64) -> u64 {
    u64::from(limit.burst) + milliseconds * u64::from(limit.per_thousand_seconds) / 1_000_000
}

#[test]
fn five_thousand_references_in_two_hundred_accounts_use_nine_tenths_of_the_allowed_rate() {
    let (accounts, each) = (200, 25);
    // The worst case: all of the kind that is allowed least.
    let kind = DocumentKind::RoleTrust;
    let (writes, spent) = play(accounts, each, kind);
    assert_eq!(writes.iter().map(Vec::len).sum::<usize>(), 5_000);
    let mut share_of_worst = 100.0_f64;
    for begun in &writes {
        let (first, last) = (begun.first().unwrap(), begun.last().unwrap());
        let allowed = allowed(limit_of(kind), last - first);
        let made = begun.len() as u64;
        assert!(made <= allowed, "{made} calls where {allowed} are allowed");
        share_of_worst = share_of_worst.min(made as f64 * 100.0 / allowed as f64);
    }
    assert!(share_of_worst >= 90.0, "{share_of_worst:.1} %");

    // Ten rounds of twenty accounts, each as long as the limit makes it: nothing is lost between them.
    let limit = limit_of(kind);
    let least =
        (each as u64 - u64::from(limit.burst)) * 1_000_000 / u64::from(limit.per_thousand_seconds) + STEP;
    let rounds = accounts.div_ceil(LANES) as u64;
    let end = writes.iter().flatten().max().unwrap() + STEP;
    assert!(
        end * 9 <= rounds * least * 10,
        "{end} ms instead of {}",
        rounds * least
    );
    assert!(
        spent.rate_limits > spent.itself,
        "{spent:?}: the limit is what binds"
    );
}

#[test]
fn after_a_rest_a_burst_is_allowed_and_then_the_rate() {
    let limit = Limit::per_second(2, 1);
    let mut bucket = Bucket::full(limit, 0);
    let waits: Vec<u64> = (0..4).map(|_| bucket.take(0)).collect();
    // The third token is earned after a second; the fourth is asked for at 0 and earned a second after that.
    assert_eq!(waits, [0, 0, 1_000, 2_000]);
    assert_eq!(bucket.take(60_000), 0);
    assert_eq!(bucket.take(60_000), 0);
    assert_eq!(bucket.take(60_000), 1_000);
}

#[test]
fn a_budget_allows_one_retry_in_ten_calls_and_no_more() {
    let mut budget = RetryBudget::default();
    let mut retries = 0;
    for _ in 0..1_000 {
        budget.earn();
        while budget.spend() {
            retries += 1;
        }
    }
    assert!((100..=111).contains(&retries), "{retries}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_window_ever_holds_more_calls_than_the_limit(
        burst in 1_u32..8, rate in 1_u32..20_000, gaps in prop::collection::vec(0_u64..3_000, 1..60),
    ) {
        let limit = Limit { burst, per_thousand_seconds: rate };
        let mut bucket = Bucket::full(limit, 0);
        let mut now = 0;
        let mut made = Vec::new();
        for gap in gaps {
            now += gap;
            now += bucket.take(now);
            made.push(now);
        }
        for (i, from) in made.iter().enumerate() {
            for (j, to) in made.iter().enumerate().skip(i) {
                let calls = (j - i + 1) as u64;
                // One more than the formula, because a wait ends on a whole millisecond.
                prop_assert!(calls <= allowed(limit, to - from) + 1, "{calls} calls in {} ms", to - from);
            }
        }
    }

    #[test]
    fn a_pause_is_between_nothing_and_the_ceiling(retry in 0_u32..100, random in any::<u64>()) {
        prop_assert!(full_jitter(retry, random) <= LONGEST_BACKOFF);
        prop_assert!(full_jitter(0, random) <= 2 * FIRST_BACKOFF);
    }
}
