//! What requests cost, by tables and by properties.

use proptest::prelude::*;

use super::*;

fn usd(per_million: &str) -> Option<PicoUsd> {
    PicoUsd::from_usd_per_million(per_million)
}

fn sonnet() -> Prices {
    let rates = |input, output, read, write| Rates {
        input: usd(input),
        output: usd(output),
        cached_read: usd(read),
        cache_write: usd(write),
        ..Rates::default()
    };
    Prices::new(rates("3", "15", "0.3", "3.75"), "page", "2025-01-01")
        .with_tier(Tier { from_input: 200_001, rates: rates("6", "22.5", "0.6", "7.5") })
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
}

#[test]
fn what_requests_cost() {
    let plain = Prices::new(Rates { input: usd("2.5"), output: usd("10"), ..Rates::default() }, "", "");
    let fees = Rates { image: usd("3600"), request: usd("5000"), reasoning: usd("1"), ..*plain.rates(0) };
    let fees = Prices::new(fees, "", "");
    let free = Prices::new(Rates { input: usd("0"), output: usd("0"), ..Rates::default() }, "", "");
    let half = |input, output| Prices::new(Rates { input, output, ..Rates::default() }, "", "");
    let parts = |usage: Usage, read, write, reasoning| Usage {
        cached_read: Some(read),
        cache_write: Some(write),
        reasoning: Some(reasoning),
        ..usage
    };
    let unknown = Usage::default();
    for (name, prices, usage, images, want, complete) in [
        ("input and output", &plain, usage(1_000, 100), 0, 3_500, true),
        ("nothing used", &plain, usage(0, 0), 0, 0, true),
        ("half a micro-dollar goes up", &plain, usage(1, 0), 0, 3, true),
        ("rounded once: 2.5 and 2.5 are 5", &plain, usage(2, 0), 0, 5, true),
        (
            "parts without a price are what they are part of",
            &plain,
            parts(usage(1_000, 100), 500, 200, 50),
            0,
            3_500,
            true,
        ),
        ("parts with a price", &sonnet(), parts(usage(1_000, 100), 500, 200, 50), 0, 900 + 150 + 750 + 1_500, true),
        ("parts told beside the whole", &sonnet(), parts(usage(10, 0), 500, 0, 0), 0, 150, true),
        ("the last of the first tier", &sonnet(), usage(200_000, 0), 0, 600_000, true),
        (
            "the whole request is of the next tier",
            &sonnet(),
            usage(200_001, 1_000_000),
            0,
            1_200_006 + 22_500_000,
            true,
        ),
        ("cached tokens lead to a tier", &sonnet(), parts(usage(200_001, 0), 200_001, 0, 0), 0, 120_001, true),
        ("pictures and the request", &fees, parts(usage(0, 10), 0, 0, 4), 2, 7_200 + 5_000 + 60 + 4, true),
        ("pictures by their tokens", &plain, usage(1_000, 0), 9, 2_500, true),
        ("nobody counted", &plain, unknown, 0, 0, false),
        ("nobody counted what is free", &free, unknown, 0, 0, true),
        ("no price of answers", &half(usd("1"), None), usage(1_000, 10), 0, 1_000, false),
        ("no answer", &half(usd("1"), None), usage(1_000, 0), 0, 1_000, true),
        ("no price at all", &Prices::default(), usage(1, 1), 0, 0, false),
    ] {
        let cost = cost(prices, &usage, images);
        assert_eq!((cost.micro_usd, cost.unknown.is_empty()), (MicroUsd(want), complete), "{name}");
        assert_eq!(cost.complete().is_some(), complete, "{name}");
    }
}

#[test]
fn what_is_unknown_is_named() {
    let cost = |usage: &Usage| cost(&sonnet(), usage, 0).unknown;
    let (none, input) = (cost(&Usage::default()), cost(&Usage { output: Some(1), ..Usage::default() }));
    assert!(none.has(Kind::Input) && none.has(Kind::Output) && input.has(Kind::Input) && !input.has(Kind::Output));
}

#[test]
fn tiers_stand_in_order_and_are_few() {
    let tier = |from_input| Tier { from_input, rates: Rates::default() };
    let prices = [9, 5, 7, 5, 0, 1, 3].into_iter().fold(Prices::default(), |prices, from| prices.with_tier(tier(from)));
    let lengths: Vec<u64> = prices.tiers().iter().map(|tier| tier.from_input).collect();
    assert_eq!(lengths, [1, 5, 7, 9]);
}

#[test]
fn prices_for_people() {
    assert_eq!(sonnet().to_string(), "3 USD per million tokens of prompt, 15 of answer (page, 2025-01-01)");
    assert_eq!(
        Prices::default().to_string(),
        "an unknown number USD per million tokens of prompt, an unknown number of answer"
    );
}

#[test]
fn lines_that_are_no_prices() {
    for line in
        ["", "input 1", "input 1 | a", "input 1 | a | b | c", "input x | a | b", "from 5 from 5 | a | b", "x 1 | a | b"]
    {
        assert_eq!(Prices::from_line(line), None, "{line}");
    }
    assert_eq!(Prices::from_line(" |  | "), Some(Prices::default()));
    let odd = Prices::new(Rates::default(), "a | b\n\u{7}", &"é".repeat(99));
    assert_eq!((odd.source(), odd.date().len()), ("a  b", 80));
}

fn price() -> impl Strategy<Value = Option<PicoUsd>> {
    proptest::option::of((0..=PicoUsd::MAX.0).prop_map(PicoUsd))
}

prop_compose! {
    fn rates()(input in price(), output in price(), cached_read in price(), cache_write in price(), reasoning in price(),
               image in price(), request in price()) -> Rates {
        Rates { input, output, cached_read, cache_write, reasoning, image, request }
    }
}

prop_compose! {
    fn any_prices()(base in rates(), tiers in proptest::collection::vec((1..u64::MAX, rates()), 0..4), source in "[a-z (),]{0,20}",
                date in "[0-9-]{0,10}") -> Prices {
        tiers.into_iter().fold(Prices::new(base, &source, &date), |prices, (from_input, rates)| {
            prices.with_tier(Tier { from_input, rates })
        })
    }
}

fn any_usage() -> impl Strategy<Value = Usage> {
    let count = || proptest::option::of(any::<u64>());
    (count(), count(), count(), count(), count()).prop_map(|(input, output, cached_read, cache_write, reasoning)| {
        Usage { input, output, cached_read, cache_write, reasoning, saved: None }
    })
}

proptest! {
    #[test]
    fn a_line_holds_everything(prices in any_prices()) {
        prop_assert_eq!(Prices::from_line(&prices.to_line()), Some(prices));
    }

    #[test]
    fn nothing_overflows(prices in any_prices(), usage in any_usage(), images: u64) {
        prop_assert!(cost(&prices, &usage, images).micro_usd >= MicroUsd::ZERO);
    }

    #[test]
    fn more_is_never_cheaper(rates in rates(), used in any_usage(), more in 0..1_000_000_u64) {
        let prices = Prices::new(rates, "", "");
        let longer = Usage {
            input: used.input.map(|count| count.saturating_add(more)),
            output: used.output.map(|count| count.saturating_add(more)),
            ..used
        };
        prop_assert!(cost(&prices, &longer, more).micro_usd >= cost(&prices, &used, 0).micro_usd);
    }

    /// Two requests cost as much as one that uses the same, but for the rounding of each.
    #[test]
    fn costs_add_up(input in 0..1_000_000_000_u64, output in 0..1_000_000_000_u64, a in 0..u64::pow(10, 12), b in 0..u64::pow(10, 12),
                    split in 0..=1_000_u64) {
        let prices = Prices::new(Rates { input: Some(PicoUsd(a)), output: Some(PicoUsd(b)), ..Rates::default() }, "", "");
        let part = |whole: u64| whole / 1_000 * split;
        let sum = |input, output| cost(&prices, &usage(input, output), 0).micro_usd.0;
        let both = sum(part(input), part(output)) + sum(input - part(input), output - part(output));
        prop_assert!((both - sum(input, output)).abs() <= 1, "{both}");
        let exact = u128::from(input) * u128::from(a) + u128::from(output) * u128::from(b);
        prop_assert_eq!(u128::try_from(sum(input, output)).unwrap(), (exact + 500_000) / 1_000_000);
    }
}
