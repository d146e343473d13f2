//! What a client is told of its limits: OpenAI's `x-ratelimit-*`, Anthropic's `anthropic-ratelimit-*`, and `retry-after`.

use std::time::Duration;

use domain::limit::{Standing, Window};
use domain::surface::Dialect;

use crate::rfc3339;

/// A header's name and value.
pub type Header = (&'static str, String);

/// The headers of one kind of limit: how much, how much remains, and when all of it is there again.
struct Names {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

const OPENAI: [Names; 2] = [
    Names {
        limit: "x-ratelimit-limit-requests",
        remaining: "x-ratelimit-remaining-requests",
        reset: "x-ratelimit-reset-requests",
    },
    Names {
        limit: "x-ratelimit-limit-tokens",
        remaining: "x-ratelimit-remaining-tokens",
        reset: "x-ratelimit-reset-tokens",
    },
];

const ANTHROPIC: [Names; 2] = [
    Names {
        limit: "anthropic-ratelimit-requests-limit",
        remaining: "anthropic-ratelimit-requests-remaining",
        reset: "anthropic-ratelimit-requests-reset",
    },
    Names {
        limit: "anthropic-ratelimit-tokens-limit",
        remaining: "anthropic-ratelimit-tokens-remaining",
        reset: "anthropic-ratelimit-tokens-reset",
    },
];

/// How a client's limits stand, in the form of its dialect; `since_epoch` is the time of now. Ollama has no form of its own,
/// so its clients get OpenAI's.
pub fn headers(dialect: Dialect, standing: Standing, since_epoch: Duration) -> impl Iterator<Item = Header> {
    let windows = [standing.requests, standing.tokens];
    let names = match dialect {
        Dialect::Openai | Dialect::Ollama => &OPENAI,
        Dialect::Anthropic => &ANTHROPIC,
    };
    windows.into_iter().zip(names).filter_map(|(window, names)| Some((window?, names))).flat_map(
        move |(window, names)| {
            let reset = reset(dialect, &window, since_epoch);
            [
                (names.limit, window.limit.amount.to_string()),
                (names.remaining, window.remaining.to_string()),
                (names.reset, reset),
            ]
        },
    )
}

/// The value of `retry-after`: whole seconds, rounded up, so that whoever keeps to it is not refused again.
#[must_use]
pub fn retry_after(wait: Duration) -> String {
    seconds_up(wait).to_string()
}

fn reset(dialect: Dialect, window: &Window, since_epoch: Duration) -> String {
    match dialect {
        Dialect::Openai | Dialect::Ollama => short(window.reset),
        Dialect::Anthropic => {
            let at = Duration::from_secs(seconds_up(since_epoch.saturating_add(window.reset)));
            // Anthropic writes whole seconds.
            rfc3339::format(at).replace(".000000000", "")
        }
    }
}

/// A span as Go writes it, in milliseconds rounded up: `12ms`, `1s`, `8.64s`, `6m0s`, `23h59m0s`.
fn short(span: Duration) -> String {
    let ms = span.as_micros().div_ceil(1_000);
    let (seconds, rest_ms) = (ms / 1_000, ms % 1_000);
    if seconds == 0 && rest_ms > 0 {
        return format!("{rest_ms}ms");
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let larger = match (hours, minutes) {
        (0, 0) => String::new(),
        (0, _) => format!("{minutes}m"),
        _ => format!("{hours}h{minutes}m"),
    };
    let fraction = format!(".{rest_ms:03}");
    format!("{larger}{}{}s", seconds % 60, fraction.trim_end_matches('0').trim_end_matches('.'))
}

fn seconds_up(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::limit::{Limit, Per, What};
    use proptest::prelude::*;

    fn window(what: What, amount: u64, remaining: u64, reset_ms: u64) -> Window {
        let limit = Limit { what, amount, per: Per::Minute };
        Window { limit, remaining, reset: Duration::from_millis(reset_ms) }
    }

    fn lines(dialect: Dialect, standing: Standing) -> Vec<String> {
        let since_epoch = Duration::from_millis(1_795_849_200_500);
        headers(dialect, standing, since_epoch).map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn each_dialect_has_its_form() {
        let requests = Some(window(What::Requests, 60, 59, 1_000));
        let tokens = Some(window(What::Tokens, 150_000, 149_984, 360_006));
        let both = Standing { requests, tokens };
        let openai = [
            "x-ratelimit-limit-requests: 60",
            "x-ratelimit-remaining-requests: 59",
            "x-ratelimit-reset-requests: 1s",
            "x-ratelimit-limit-tokens: 150000",
            "x-ratelimit-remaining-tokens: 149984",
            "x-ratelimit-reset-tokens: 6m0.006s",
        ];
        assert_eq!(lines(Dialect::Openai, both), openai);
        assert_eq!(lines(Dialect::Ollama, both), openai);
        assert_eq!(
            lines(Dialect::Anthropic, both),
            [
                "anthropic-ratelimit-requests-limit: 60",
                "anthropic-ratelimit-requests-remaining: 59",
                "anthropic-ratelimit-requests-reset: 2026-11-28T07:00:02Z",
                "anthropic-ratelimit-tokens-limit: 150000",
                "anthropic-ratelimit-tokens-remaining: 149984",
                "anthropic-ratelimit-tokens-reset: 2026-11-28T07:06:01Z",
            ]
        );
        assert_eq!(lines(Dialect::Openai, Standing { requests: None, tokens }), openai[3..]);
        assert!(lines(Dialect::Anthropic, Standing::default()).is_empty());
    }

    #[test]
    fn spans_as_go_writes_them() {
        for (us, want) in [
            (0, "0s"),
            (1, "1ms"),
            (12_000, "12ms"),
            (999_001, "1s"),
            (1_000_000, "1s"),
            (8_640_000, "8.64s"),
            (360_000_000, "6m0s"),
            (86_400_000, "1m26.4s"),
            (3_600_000_000, "1h0m0s"),
            (86_399_999_500, "24h0m0s"),
        ] {
            assert_eq!(short(Duration::from_micros(us)), want, "{us}");
        }
    }

    #[test]
    fn whole_seconds_rounded_up() {
        for (wait, want) in [
            (Duration::ZERO, "0"),
            (Duration::from_nanos(1), "1"),
            (Duration::from_secs(3), "3"),
            (Duration::from_millis(3_001), "4"),
            (Duration::MAX, "18446744073709551615"),
        ] {
            assert_eq!(retry_after(wait), want);
        }
    }

    proptest! {
        #[test]
        fn any_standing_can_be_a_header(amount: u64, remaining: u64, reset_ns: u64, now_s: u64) {
            let limit = Limit { what: What::Requests, amount, per: Per::Day };
            let requests = Some(Window { limit, remaining, reset: Duration::from_nanos(reset_ns) });
            for dialect in [Dialect::Openai, Dialect::Anthropic, Dialect::Ollama] {
                let standing = Standing { requests, tokens: None };
                for (_, value) in headers(dialect, standing, Duration::from_secs(now_s)) {
                    prop_assert!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
    }
}
