//! A cutover over real adapters and the wire, killed at random calls and resumed: always the same final state.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of a test fail it, and it says how it went"
)]
#![recursion_limit = "256"]

mod killer;
mod world;

use std::time::Instant;

use cutover::machine::{self, Ending, Followed};

use crate::killer::Killer;
use crate::world::{Execution, World};

/// What a seed decides beside the killer's times.
#[derive(Debug, Clone, Copy)]
enum Play {
    /// The old account is not contained: every document is swapped at once.
    Swap,
    /// It is contained: every document is expanded, and contracted at the end.
    Expand,
    /// A person turns the finished cutover back.
    TurnBack,
}

/// Plays the cutover of one seed to its end, and returns how often it was killed.
async fn play(world: &World, seed: u64) -> usize {
    let play = match seed % 3 {
        0 => Play::Swap,
        1 => Play::Expand,
        _ => Play::TurnBack,
    };
    let killer = Killer::new(seed);
    let run = world.approve(seed, matches!(play, Play::Expand)).await;
    let execution = Execution::new(world, &run, &killer);
    let ending = Box::pin(machine::drive(&execution)).await;
    assert_eq!(ending, Ending::Recovered, "seed {seed}");
    world.assert_recovered().await;
    world.assert_sessions(&run, &killer.assumed());
    assert_eq!(world.contained(), matches!(play, Play::Expand), "seed {seed}");
    if matches!(play, Play::TurnBack) {
        killer.rearm(seed);
        let turned = machine::follow(&execution, Execution::operator("Operator.Revert")).await;
        assert_eq!(turned, Followed::Ended(Ending::GivenBack), "seed {seed}");
        world.assert_clean_slate().await;
    }
    killer.kills()
}

async fn play_all(seeds: std::ops::Range<u64>) {
    let world = Box::pin(World::start()).await;
    assert!(world.references() >= 60, "{}", world.references());
    let begun = Instant::now();
    let many = seeds.end - seeds.start;
    let mut kills = 0;
    for seed in seeds {
        world.reset().await;
        kills += play(&world, seed).await;
    }
    assert!(kills > 0, "nobody was killed: nothing was tested");
    println!(
        "{} references in {} siblings, {many} seeds, killed {kills} times, every final state as wanted, {:.0} s",
        world.references(),
        world::SIBLINGS.len(),
        begun.elapsed().as_secs_f64()
    );
    world.stop().await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_cutover_killed_at_random_calls_always_ends_in_the_same_state() {
    Box::pin(play_all(0..3)).await;
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "takes minutes: cargo test -p simulation -- --ignored --nocapture"]
async fn fifty_seeds_of_a_killer_end_in_the_same_state() {
    Box::pin(play_all(0..50)).await;
}
