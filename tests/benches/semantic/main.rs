//! What comparing questions by their meaning costs, on one thread.
//!
//! `cargo bench -p airlane-tests --bench semantic [-- --quick]` prints a table. The vectors are made up: their search takes the same
//! time whatever they say. Table and texts are those of the suite `semantic`.

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use airlane_tests::programs::prepared;
use airlane_tests::semantic::Set;
use domain::semantic::{Bar, Goal, NotAQuestion, Shelf, Signature, Vector, Verdict, check, gate};
use wire::table::Table;

/// Numbers of a vector: those of WordLlama's table, and of common embedding models.
const DIMENSIONS: [usize; 3] = [256, 384, 768];

/// How often everything is measured; the median counts.
const ROUNDS: usize = 21;

fn main() -> ExitCode {
    let quick = std::env::args().any(|word| word == "--quick");
    let (rounds, entries) = if quick { (3, [1_000, 10_000]) } else { (ROUNDS, [1_000, 100_000]) };
    println!("| what | median | slowest of {rounds} |\n|---|---:|---:|");
    search(rounds, &entries);
    match read(rounds) {
        Ok(table) => texts(rounds, &table),
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Prints a row for something that is done `times` times in each round.
fn row(what: &str, rounds: usize, times: usize, mut work: impl FnMut()) {
    let mut took: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed() / u32::try_from(times).unwrap_or(u32::MAX)
        })
        .collect();
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    println!("| {what} | {median:.1?} | {:.1?} |", took.last().copied().unwrap_or_default());
}

fn search(rounds: usize, entries: &[usize]) {
    for dimensions in DIMENSIONS {
        let mut number = 1_u64;
        let mut vector = || {
            let numbers: Vec<f32> = (0..dimensions)
                .map(|_| {
                    number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    f32::from(i16::from_le_bytes([number.to_le_bytes()[6], number.to_le_bytes()[7]]))
                })
                .collect();
            Vector::of(&numbers).expect("it has a direction")
        };
        let mut shelf = Shelf::default();
        let asked = vector();
        for wanted in entries {
            while shelf.len() < *wanted {
                assert!(shelf.push(&vector()));
            }
            let times = (100_000 / wanted).max(1);
            row(&format!("nearest 8 of {wanted} vectors of {dimensions} numbers"), rounds, times, || {
                (0..times).for_each(|_| drop(black_box(shelf.nearest(black_box(&asked), 0.7, 8))));
            });
        }
    }
}

fn read(rounds: usize) -> Result<Table, String> {
    let folder = prepared("target/wordllama", "tests/setup");
    let file = |name: &str| std::fs::read(Path::new(&folder).join(name)).map_err(|error| format!("{name}: {error}"));
    let weights = bytes::Bytes::from(file("l2_supercat_256.safetensors")?);
    let tokens = file("l2_supercat_tokenizer_config.json")?;
    row("reading WordLlama's table", rounds.min(5), 1, || drop(black_box(Table::read(weights.clone(), &tokens))));
    Table::read(weights, &tokens).map_err(|error| error.to_string())
}

fn texts(rounds: usize, table: &Table) {
    let texts: Vec<String> = Set::Tuned.pairs().into_iter().map(|pair| pair.asked).take(1_000).collect();
    let signatures: Vec<Signature> = texts.iter().map(|text| Signature::of(text)).collect();
    let bar = Bar::read(&[0x9a; 128]);
    let count = texts.len();
    row("may it be compared", rounds, count, || {
        texts.iter().for_each(|text| assert!(black_box(check(text)) != Err(NotAQuestion::Tools)))
    });
    row("its form", rounds, count, || texts.iter().for_each(|text| drop(black_box(Signature::of(text)))));
    row("its vector from the table", rounds, count, || {
        texts.iter().for_each(|text| drop(black_box(table.vector(text))))
    });
    row("the gate", rounds, count - 1, || {
        signatures.windows(2).for_each(|pair| drop(black_box(gate(&pair[0], &pair[1]))));
    });
    row("the bar, with 32 answers seen", rounds, count, || {
        (0..count).for_each(|_| {
            let _ = black_box(bar.decide(&Verdict::Same, 0.95, 0.5, &Goal::default()));
        });
    });
}
