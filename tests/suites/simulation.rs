//! The choice of places in a simulated house, beside what ordinary load balancers do. The bench `traffic` plays more.

use airlane_tests::traffic::{Kind, mixed, run, scenarios};

/// Enough for several bursts, a game and a death.
const REQUESTS: usize = 3_000;

#[test]
fn everything_at_once_is_served_sooner_than_by_least_connections() {
    for seed in [11, 12] {
        let house = mixed(REQUESTS, seed);
        let (auto, least) = (run(&house, Kind::Auto), run(&house, Kind::LeastConnections));
        assert_eq!((auto.answered + auto.broken, auto.refused), (REQUESTS, 0), "seed {seed}: all end");
        // What a dying node has begun to answer is lost under any policy: it has four slots, and dies twice at most.
        assert!(auto.broken <= 8, "seed {seed}: {} broken", auto.broken);
        assert!(auto.ttft[1] <= 0.6 * least.ttft[1], "seed {seed}: {:?} and {:?}", auto.ttft, least.ttft);
        // No lane starves: bulk, which waits for the others, still waits less than it would in line with them.
        for (lane, (ours, theirs)) in auto.wait_max.into_iter().zip(least.wait_max).enumerate() {
            assert!(ours <= theirs, "seed {seed}, lane {lane}: waits of {ours} s and {theirs} s");
        }
        // Medians: an overload of minutes by urgent requests alone makes all lanes wait.
        let [interactive, _, bulk] = auto.ttft_by_lane;
        assert!(interactive[0] < bulk[0], "seed {seed}: {:?}", auto.ttft_by_lane);
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let house = mixed(1_000, 3);
    for kind in Kind::ALL {
        assert_eq!(run(&house, kind), run(&mixed(1_000, 3), kind), "{}", kind.name());
    }
}

#[test]
fn every_request_ends_in_every_house() {
    for house in scenarios(300, 5) {
        for kind in Kind::ALL {
            let summary = run(&house, kind);
            let ended = summary.answered + summary.broken + summary.refused;
            assert_eq!(ended, 300, "{} with {}", house.name, kind.name());
        }
    }
}
