//! Names, texts, costs and sums of entries.

use proptest::prelude::*;

use super::*;
use crate::money::PicoUsd;
use crate::price::Rates;
use crate::usage::Saved;

fn prices(line: &str) -> Prices {
    Prices::from_line(&format!("{line} | test | ")).unwrap()
}

fn entry(upstream: &str) -> Entry {
    let usage = Usage { input: Some(1_000), output: Some(100), cached_read: Some(400), ..Usage::default() };
    Entry { upstream: upstream.into(), usage, outcome: "ok".into(), ..Entry::new(EntryId::new(1_000, 1)) }
}

#[test]
fn names_are_in_the_order_of_time() {
    let id = |ms, number| EntryId::new(ms, number);
    assert!(id(1, u64::MAX) < id(2, 0) && id(2, 0) < id(2, 1));
    assert_eq!((id(5, 7).unix_ms(), id(5, 7 + (1 << 20))), (5, id(5, 7)));
    assert_eq!(id(5, 7).to_string(), "0000000000500007");
    assert_eq!(id(u64::MAX, u64::MAX).to_string(), "7fffffffffffffff");
    for text in ["", "500007", "000000000050000G", "000000000050000A", "+000000000500007", "ffffffffffffffff"] {
        assert_eq!(text.parse::<EntryId>(), Err(NoEntryId), "{text}");
    }
}

#[test]
fn texts_are_bounded_and_clean() {
    let long = "é".repeat(200);
    for (text, want) in [("a b", "a b"), ("a\u{1b}[2J\nb", "a[2Jb"), ("", ""), (&long, &long[..200])] {
        assert_eq!(&*Text::new(text), want);
    }
    assert_eq!(Text::new("x".repeat(199) + "é").len(), 199, "no letter is cut in two");
}

#[test]
fn what_an_entry_costs_and_saves() {
    let (own, reference) = (prices("input 1 output 2 cached_read 0.5"), prices("input 10 output 20 cached_read 1"));
    let kept = Saved { input: 50, output: 5 };
    let kept_entry = Entry {
        usage: Usage { input: Some(0), output: Some(0), saved: Some(kept), ..Usage::default() },
        ..entry("cloud")
    };
    let unknown = Entry { usage: Usage::default(), ..entry("cloud") };
    for (name, entry, own, reference, cost, saved) in [
        ("a cloud", entry("cloud"), Some(&own), Some(&reference), Some(1_000), Some(12_000 - 1_000)),
        ("no reference", entry("cloud"), Some(&own), None, Some(1_000), None),
        (
            "dearer than the reference",
            entry("cloud"),
            Some(&reference),
            Some(&own),
            Some(6_000 + 400 + 2_000),
            Some(1_200 - 8_400),
        ),
        ("no prices", entry("cloud"), None, Some(&reference), None, None),
        ("it went nowhere", entry(""), None, None, Some(0), None),
        ("it was kept", kept_entry, Some(&own), Some(&reference), Some(0), Some(600)),
        ("nobody counted", unknown, Some(&own), Some(&reference), None, None),
    ] {
        let mut entry = entry;
        entry.reckon(own.cloned().map(Arc::new), reference);
        let amounts = (entry.known_cost(), entry.saved);
        assert_eq!(amounts, (cost.map(MicroUsd), saved.map(MicroUsd)), "{name}");
        assert_eq!(Sums::of(&entry).unknown, u64::from(cost.is_none()), "{name}");
    }
}

#[test]
fn what_is_too_much_is_cut() {
    let most = Some(u64::MAX);
    let saved = Some(Saved { input: u64::MAX, output: 7 });
    let usage = Usage { input: most, output: most, cached_read: most, cache_write: most, reasoning: None, saved };
    let cost = Some(Cost { micro_usd: MicroUsd(i64::MAX), ..Cost::default() });
    let cut = Entry { usage, images: 5, bytes_out: u64::MAX, cost, saved: Some(MicroUsd(i64::MIN)), ..entry("box") }
        .bounded();
    let most = 1 << 40;
    assert_eq!((cut.usage.input, cut.usage.cache_write, cut.usage.reasoning), (Some(most), Some(most), None));
    assert_eq!((cut.usage.saved, cut.images, cut.bytes_out), (Some(Saved { input: most, output: 7 }), 5, most));
    assert_eq!((cut.known_cost(), cut.saved), (Some(MicroUsd(1 << 40)), Some(MicroUsd(-(1 << 40)))));
}

#[test]
fn filters_name_entries() {
    let entry = Entry { tenant: "a".into(), asked: "fast".into(), answered: "qwen".into(), ..entry("box") };
    let some = |text: &str| Some(text.to_owned());
    for (filter, want) in [
        (Filter::default(), true),
        (Filter { tenant: some("a"), upstream: some("box"), outcome: some("ok"), ..Filter::default() }, true),
        (Filter { tenant: some("b"), ..Filter::default() }, false),
        (Filter { tenant: some(""), ..Filter::default() }, false),
        (Filter { model: some("fast"), ..Filter::default() }, true),
        (Filter { model: some("qwen"), ..Filter::default() }, true),
        (Filter { model: some("other"), ..Filter::default() }, false),
        (Filter { outcome: some("cancelled"), ..Filter::default() }, false),
        (Filter { upstream: some("cloud"), ..Filter::default() }, false),
    ] {
        assert_eq!(filter.names(&entry), want, "{filter:?}");
    }
    let ids = Filter { from_ms: Some(5), to_ms: Some(7), ..Filter::default() }.ids();
    let within = |ms, number| ids.contains(&EntryId::new(ms, number));
    assert!(within(5, 0) && within(6, u64::MAX) && !within(4, u64::MAX) && !within(7, 0));
    assert!(Filter::default().ids().contains(&EntryId::new(0, 0)));
}

proptest! {
    #[test]
    fn names_are_read_again(ms: u64, number: u64) {
        let id = EntryId::new(ms, number);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(EntryId::from_number(id.number()), id);
    }

    #[test]
    fn sums_are_in_any_order(counts in proptest::collection::vec((0..1_000_u64, 0..1_000_u64, any::<bool>()), 0..20)) {
        let rates = Rates { input: Some(PicoUsd(1_000_000)), output: Some(PicoUsd(2_000_000)), ..Rates::default() };
        let prices = Arc::new(Prices::new(rates, "", ""));
        let all: Vec<Sums> = counts.iter().map(|(input, output, is_known)| {
            let usage = Usage { input: Some(*input), output: is_known.then_some(*output), ..Usage::default() };
            let mut entry = Entry { usage, ..entry("box") };
            entry.reckon(Some(prices.clone()), None);
            Sums::of(&entry)
        }).collect();
        let forward = all.iter().fold(Sums::default(), |sum, one| sum.plus(one));
        let backward = all.iter().rev().fold(Sums::default(), |sum, one| sum.plus(one));
        prop_assert_eq!(forward, backward);
        prop_assert_eq!(forward.requests, counts.len() as u64);
        let cost: u64 = counts.iter().map(|(input, output, is_known)| input + if *is_known { 2 * output } else { 0 }).sum();
        prop_assert_eq!(forward.cost, MicroUsd(i64::try_from(cost).unwrap()));
    }
}
