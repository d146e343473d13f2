use super::*;
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

fn process(name: &str, vram_gib: u64, utilization_percent: Option<u32>) -> Process {
    let name = Some(name.to_owned()).filter(|name| !name.is_empty());
    Process { pid: 100, name, vram_bytes: Some(vram_gib * GIB), utilization_percent }
}

/// A card of 20 GiB.
fn sample(utilization_percent: u32, processes: Option<Vec<Process>>) -> Sample {
    let vram = Vram { total_bytes: 20 * GIB, used_bytes: GIB, free_bytes: 19 * GIB };
    Sample {
        utilization_percent: Some(utilization_percent),
        vram: Some(vram),
        processes: processes.map(|list| {
            list.into_iter().enumerate().map(|(at, one)| Process { pid: 100 + at as u32, ..one }).collect()
        }),
        ..Sample::default()
    }
}

const IDLE: Ours = Ours { upstreams: 1, in_flight: 0, begun: 0 };
const BUSY: Ours = Ours { upstreams: 1, in_flight: 2, begun: 0 };
const NOBODY: Ours = Ours { upstreams: 0, in_flight: 0, begun: 0 };

/// The same reading every second, for so many seconds.
fn run(fold: &mut ForeignFold, sample: &Sample, ours: Ours, from_s: u64, seconds: u64) -> ForeignLoad {
    let mut load = ForeignLoad::default();
    for second in from_s..from_s + seconds {
        load = fold.take(sample, ours, Duration::from_secs(second));
    }
    load
}

#[test]
fn what_is_foreign_and_who_does_it() {
    let ollama = |percent| process("ollama", 8, percent);
    let game = |percent| process("game.exe", 6, percent);
    let desktop = || process("Xorg", 0, Some(1));
    // name, reading, ours, pressure after 20 s, named
    let cases: Vec<(&str, Sample, Ours, u32, Vec<&str>)> = vec![
        ("nothing", sample(0, Some(vec![])), IDLE, 0, vec![]),
        ("a desktop", sample(3, Some(vec![desktop()])), IDLE, 3, vec![]),
        ("a loaded model", sample(0, Some(vec![ollama(None)])), IDLE, 0, vec![]),
        ("our request", sample(95, Some(vec![ollama(Some(94)), desktop()])), BUSY, 1, vec![]),
        ("our request, nobody tells shares", sample(95, Some(vec![ollama(None)])), BUSY, 0, vec![]),
        ("our request, nobody tells processes", sample(95, None), BUSY, 0, vec![]),
        ("our request, nobody is told", sample(95, Some(vec![])), BUSY, 0, vec![]),
        ("our request, only a desktop is told", sample(95, Some(vec![process("Xwayland", 0, None)])), BUSY, 0, vec![]),
        ("our request, a server in a container", sample(95, Some(vec![process("", 8, None)])), BUSY, 0, vec![]),
        ("a game", sample(97, Some(vec![game(Some(96)), desktop()])), IDLE, 97, vec!["game.exe"]),
        ("a game, nobody tells shares", sample(97, Some(vec![game(None)])), IDLE, 97, vec!["game.exe"]),
        ("a game, nobody tells processes", sample(97, None), IDLE, 97, vec![]),
        ("Ollama called directly", sample(90, Some(vec![ollama(Some(90))])), IDLE, 90, vec!["ollama"]),
        ("the same, nobody tells shares", sample(90, Some(vec![ollama(None)])), IDLE, 90, vec!["ollama"]),
        ("a server that is no upstream", sample(90, Some(vec![ollama(Some(90))])), NOBODY, 90, vec!["ollama"]),
        ("its memory then", sample(0, Some(vec![ollama(None)])), NOBODY, 40, vec!["ollama"]),
        (
            "a game beside our request",
            sample(99, Some(vec![ollama(Some(40)), game(Some(59))])),
            BUSY,
            59,
            vec!["game.exe"],
        ),
        ("our request runs on another card", sample(80, Some(vec![game(None)])), BUSY, 80, vec!["game.exe"]),
        (
            "an idle render that holds memory",
            sample(0, Some(vec![process("blender", 13, None)])),
            IDLE,
            65,
            vec!["blender"],
        ),
        ("a card that tells nothing", Sample::default(), IDLE, 0, vec![]),
    ];
    for (name, sample, ours, pressure, by) in cases {
        let load = run(&mut ForeignFold::default(), &sample, ours, 0, 20);
        assert_eq!(load.pressure_percent, pressure, "{name}: {load:?}");
        let named: Vec<String> = load.by.iter().map(Process::title).collect();
        assert_eq!(named, by, "{name}");
        assert_eq!(load.backed_off, pressure >= 50, "{name}");
    }
}

#[test]
fn a_game_is_noticed_in_two_seconds_and_the_card_taken_again_within_ten() {
    let (game, quiet) = (sample(95, Some(vec![process("game.exe", 6, None)])), sample(0, Some(vec![])));
    let mut fold = ForeignFold::default();
    assert!(!run(&mut fold, &quiet, IDLE, 0, 10).backed_off);
    assert!(!run(&mut fold, &game, IDLE, 10, 1).backed_off, "a peak of a second is no game");
    assert!(run(&mut fold, &game, IDLE, 11, 1).backed_off);
    assert!(run(&mut fold, &quiet, IDLE, 12, 5).backed_off, "a loading screen is no end");
    assert!(run(&mut fold, &game, IDLE, 17, 3).backed_off);
    let back = (20..).find(|&second| !fold.take(&quiet, IDLE, Duration::from_secs(second)).backed_off);
    assert!(back.is_some_and(|second| (25..=30).contains(&second)), "{back:?}");
}

#[test]
fn a_game_that_was_there_before_our_request_stays_one() {
    let both = |used| sample(used, Some(vec![process("ollama", 8, None), process("game.exe", 6, None)]));
    let mut fold = ForeignFold::default();
    assert!(run(&mut fold, &both(80), IDLE, 0, 15).backed_off);
    let load = run(&mut fold, &both(100), BUSY, 15, 5);
    assert_eq!((load.pressure_percent, load.backed_off), (80, true), "what cannot be told apart stays as it was");
}

#[test]
fn short_requests_and_the_end_of_long_ones_are_ours() {
    let busy = sample(95, Some(vec![process("ollama", 8, None)]));
    let mut fold = ForeignFold::default();
    for second in 0..10 {
        let ours = Ours { upstreams: 1, in_flight: 0, begun: second + 1 };
        assert_eq!(fold.take(&busy, ours, Duration::from_secs(second)).pressure_percent, 0, "in second {second}");
    }
    let after = Ours { upstreams: 1, in_flight: 0, begun: 10 };
    assert_eq!(run(&mut fold, &busy, after, 10, 2).pressure_percent, 0, "still ours");
    assert!(run(&mut fold, &busy, after, 12, 4).backed_off, "somebody else calls Ollama");
}

#[test]
fn a_long_silence_does_not_count_as_a_step() {
    let mut fold = ForeignFold::default();
    let game = sample(95, Some(vec![process("game.exe", 6, None)]));
    assert!(run(&mut fold, &game, IDLE, 0, 5).backed_off);
    let load = fold.take(&sample(0, Some(vec![])), IDLE, Duration::from_secs(3_600));
    assert_eq!((load.pressure_percent, load.backed_off), (0, true), "free, but not yet for long");
}

fn any_process() -> impl Strategy<Value = Process> {
    let names = prop::sample::select(vec!["ollama", "game.exe", "vllm", "", "Xorg"]);
    (names, any::<Option<u64>>(), prop::option::of(0_u32..200)).prop_map(|(name, vram_bytes, utilization_percent)| {
        Process { vram_bytes, ..process(name, 0, utilization_percent) }
    })
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let processes = prop::option::of(prop::collection::vec(any_process(), 0..8));
    (prop::option::of(0_u32..=100), processes)
        .prop_map(|(utilization_percent, processes)| Sample { utilization_percent, ..sample(0, processes) })
}

proptest! {
    #[test]
    fn pressure_stays_a_percentage_and_names_stay_few(
        steps in prop::collection::vec((any_sample(), 0_u64..40_000, 0_u64..3, 0_usize..2), 1..60)
    ) {
        let (mut fold, mut now) = (ForeignFold::default(), Duration::ZERO);
        for (sample, step_ms, in_flight, upstreams) in steps {
            now += Duration::from_millis(step_ms);
            let load = fold.take(&sample, Ours { upstreams, in_flight, begun: in_flight }, now);
            prop_assert!(load.pressure_percent <= 100);
            prop_assert!(load.by.len() <= NAMED_MAX);
            prop_assert!(load.pressure_percent < 50 || load.backed_off, "{load:?}");
        }
    }

    #[test]
    fn a_steady_load_is_decided_once(used in 0_u32..=100, step_ms in 100_u64..5_000) {
        let (mut fold, reading, mut turns, mut last) = (ForeignFold::default(), sample(used, Some(vec![])), 0, false);
        for step in 0..200 {
            let load = fold.take(&reading, IDLE, Duration::from_millis(step * step_ms));
            turns += u32::from(load.backed_off != last);
            last = load.backed_off;
        }
        prop_assert_eq!(turns, u32::from(used > 50 || last));
        prop_assert!(last == (used >= 50) || used == 50);
    }

    #[test]
    fn a_load_around_the_bound_does_not_flap(noise in prop::collection::vec(40_u32..=60, 100)) {
        let (mut fold, mut turns, mut last) = (ForeignFold::default(), 0, false);
        for (second, used) in noise.into_iter().enumerate() {
            let load = fold.take(&sample(used, None), IDLE, Duration::from_secs(second as u64));
            turns += u32::from(load.backed_off != last);
            last = load.backed_off;
        }
        prop_assert!(turns <= 1, "{turns} turns");
    }
}
