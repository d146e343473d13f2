//! Questions compared by their meaning: how many are answered with a kept answer, and how many of these wrongly.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use airlane_tests::programs::{prepared, repository};
use airlane_tests::semantic::{Pair, Set};
use domain::semantic::{Signature, Verdict, check, gate};
use serde_json::Value;
use wire::table::Table;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let file = |name: &str| fs::read(prepared(&format!("target/wordllama/{name}"), "tests/setup")).expect("a file");
    let weights = file("l2_supercat_256.safetensors");
    Table::read(weights.into(), &file("l2_supercat_tokenizer_config.json")).expect("a table")
});

#[test]
fn tokens_and_vectors_are_those_of_wordllama() {
    let golden = fs::read_to_string(repository().join("tests/semantic/wordllama.jsonl")).expect("golden vectors");
    for line in golden.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let text = row["text"].as_str().expect("a text");
        assert_eq!(serde_json::json!(TABLE.tokens(text)), row["tokens"], "{text:?}");
        let vector = TABLE.vector(text).expect("a vector").numbers();
        let want = row["vector"].as_array().expect("numbers").iter().filter_map(Value::as_f64);
        for (number, want) in vector.iter().step_by(16).zip(want) {
            assert!((f64::from(*number) - want).abs() < 2e-4, "{text:?}: {number} for {want}");
        }
    }
    assert!(golden.lines().count() >= 50);
}

#[test]
fn look() {
    for set in [Set::Tuned, Set::HeldOut] {
        let mut counts: BTreeMap<(&str, bool, &str), usize> = BTreeMap::new();
        for pair in set.pairs() {
            let Pair { kept, asked, same, kind } = &pair;
            let verdict = if check(kept).is_err() || check(asked).is_err() {
                "none"
            } else {
                match gate(&Signature::of(kept), &Signature::of(asked)) {
                    Verdict::Same => "same",
                    Verdict::Open(_) => "open",
                    Verdict::Other(_) => "other",
                }
            };
            *counts.entry((kind, *same, verdict)).or_default() += 1;
            *counts.entry(("ALL", *same, verdict)).or_default() += 1;
            if set == Set::Tuned || *same {
                let likeness = TABLE.vector(kept).unwrap().likeness(&TABLE.vector(asked).unwrap());
                println!(
                    "PAIR {set:?} {same} {verdict} {likeness:.3} [{kind}] {kept} | {asked} | {:?}",
                    if verdict == "same" || verdict == "none" {
                        String::new()
                    } else {
                        format!("{:?}", gate(&Signature::of(kept), &Signature::of(asked)))
                    }
                );
            }
        }
        for ((kind, same, verdict), count) in counts {
            println!("{set:?} {kind}: same={same} {verdict} {count}");
        }
    }
}
