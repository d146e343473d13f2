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
        // Whoever waits for an answer is served much sooner. Bulk, which waits for the others in a house that a game
        // overloads, is not: it pays, but is not starved.
        for lane in [0, 1] {
            let (ours, theirs) = (auto.ttft_by_lane[lane][1], least.ttft_by_lane[lane][1]);
            assert!(ours <= 0.6 * theirs, "seed {seed}, lane {lane}: {ours} s and {theirs} s");
        }
        assert!(auto.wait_max[2] <= 2.0 * least.wait_max[2], "seed {seed}: {:?}", auto.wait_max);
        assert!(auto.wait_p99[0] * 10.0 <= auto.wait_p99[2], "seed {seed}: {:?}", auto.wait_p99);
        // In the same order, who knows the future does little better.
        let orderly = run(&house, Kind::Orderly);
        assert!(auto.ttft[1] <= 1.4 * orderly.ttft[1], "seed {seed}: {:?} and {:?}", auto.ttft, orderly.ttft);
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
        for kind in Kind::of(&house) {
            let summary = run(&house, kind);
            let ended = summary.answered + summary.broken + summary.refused;
            assert_eq!(ended, 300, "{} with {}", house.name, kind.name());
        }
    }
}
