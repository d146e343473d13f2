//! From text to a program, and from a request to its answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use cel::parser::PrattParser;
use cel::{Context, Env, IdedExpr, Value};

use super::super::Asks;
use super::super::hours::weekday;
use super::look::{DEPTH_MAX, Look, NODES_MAX, VALUES};
use super::{Mistake, SOURCE_BYTES_MAX};
use crate::calendar::Zone;

/// End of the message about an expression whose value is neither true nor false.
pub(super) const NO_CONDITION: &str = "a condition must be true or false";

/// The operators and functions, made once.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

pub(super) struct Program {
    expr: IdedExpr,
    /// What it uses, as value and member.
    used: BTreeSet<(&'static str, &'static str)>,
}

impl Program {
    pub(super) fn compile(source: &str) -> Result<Self, Mistake> {
        let mistake = |line: usize, column: usize, message: String| Mistake { line, column, message };
        if source.len() > SOURCE_BYTES_MAX {
            let message = format!("is longer than {SOURCE_BYTES_MAX} bytes; write two policies");
            return Err(mistake(1, 1, message));
        }
        let parser = PrattParser::new().max_recursion_depth(DEPTH_MAX).max_expression_node_count(NODES_MAX);
        let expr = parser.parse(source).map_err(|errors| match errors.errors.first() {
            Some(first) => {
                let place = |at: isize| usize::try_from(at).unwrap_or(0);
                mistake(place(first.pos.0).max(1), place(first.pos.1).max(1), one_line(&first.msg))
            }
            None => mistake(1, 1, "is no expression".to_owned()),
        })?;
        let mut look = Look::default();
        look.at(&expr, 0).map_err(|message| {
            let (line, column) = place(source, &message);
            mistake(line, column, message)
        })?;
        Ok(Self { expr, used: look.used })
    }

    pub(super) fn uses(&self, value: &str) -> bool {
        self.used.iter().any(|(name, _)| *name == value)
    }

    pub(super) fn holds(&self, asks: &Asks<'_>, zone: &Zone) -> Result<bool, String> {
        let mut context = Context::with_env(ENV.clone());
        for (name, members) in VALUES {
            if members.is_empty() {
                if self.uses(name) {
                    context.add_variable_from_value(name, first(asks.models));
                }
                continue;
            }
            let used = self.used.iter().filter(|(value, _)| *value == name);
            let map: HashMap<String, Value> =
                used.map(|(_, member)| ((*member).to_owned(), value(asks, zone, name, member))).collect();
            if !map.is_empty() {
                context.add_variable_from_value(name, map);
            }
        }
        match context.resolve(&self.expr) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(format!("it is no condition: {NO_CONDITION}")),
            Err(error) => Err(one_line(&error.to_string())),
        }
    }
}

fn value(asks: &Asks<'_>, zone: &Zone, name: &str, member: &str) -> Value {
    let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let minutes = (asks.unix_s + zone.offset_s(asks.unix_s)).div_euclid(60);
    let (request, pulse) = (&asks.traits, &asks.pulse);
    match (name, member) {
        ("request", "model") => first(asks.models),
        ("request", "models") => texts(asks.models),
        ("request", "tokens") => count(request.tokens),
        ("request", "output_tokens_max") => count(request.output_tokens_max),
        ("request", "stream") => Value::Bool(request.stream),
        ("request", "tools") => Value::Bool(request.tools),
        ("request", "images") => Value::Bool(request.images),
        ("request", "json_schema") => Value::Bool(request.json_schema),
        ("request", "reasoning") => Value::Bool(request.reasoning),
        ("request", "dialect") => request.dialect.into(),
        ("request", "app") => asks.app.into(),
        ("request", "client") => asks.client.map(|client| client.to_canonical().to_string()).unwrap_or_default().into(),
        ("tenant", "name") => asks.tenant.into(),
        ("tenant", "groups") => texts(asks.groups),
        ("tenant", "key") => asks.key.unwrap_or_default().into(),
        ("time", "hour") => Value::Int(minutes.div_euclid(60).rem_euclid(24)),
        ("time", "minute") => Value::Int(minutes.rem_euclid(60)),
        // Monday is 1, Sunday 7, as ISO 8601 counts.
        ("time", "weekday") => Value::Int(i64::try_from(weekday(minutes.div_euclid(1_440)) + 1).unwrap_or(0)),
        ("time", "unix") => Value::Int(asks.unix_s),
        ("telemetry", "gpu_pressure") => Value::Float(pulse.gpu_pressure),
        ("telemetry", "queue_waiting") => count(pulse.queue_waiting),
        ("telemetry", "local_healthy") => count(pulse.local_healthy),
        _ => Value::Null,
    }
}

fn first(names: &[String]) -> Value {
    names.first().map_or("", String::as_str).into()
}

/// Most elements of a list: macros go through all of them.
const LIST_MAX: usize = 64;

fn texts(texts: &[String]) -> Value {
    Value::List(Arc::new(texts.iter().take(LIST_MAX).map(|text| text.as_str().into()).collect()))
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the word that a message is about stands.
fn place(source: &str, message: &str) -> (usize, usize) {
    let word = message.strip_prefix("there is no ").map(|rest| rest.strip_prefix("function ").unwrap_or(rest));
    let word = word.or_else(|| message.split_once(" has no member ").map(|(_, rest)| rest)).unwrap_or(message);
    let word = word.split([';', ' ']).next().unwrap_or_default();
    let at = source.find(word).unwrap_or(0);
    let before = source.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Pulse, Traits};
    use super::super::When;
    use super::*;
    use proptest::prelude::*;

    fn berlin() -> Zone {
        Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn conditions_are_worked_out() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let (models, groups) = (names(&["gpt-5", "qwen"]), names(&["kids", "school"]));
        let asks = Asks {
            tenant: "mia",
            is_stranger: false,
            key: Some("laptop"),
            groups: &groups,
            app: "curl",
            client: "::ffff:192.168.1.7".parse().ok(),
            models: &models,
            traits: Traits { tokens: 5_000, tools: true, dialect: "openai", ..Traits::default() },
            // Friday 2026-11-27, 08:30 in Berlin.
            unix_s: 1_795_764_600,
            pulse: Pulse { gpu_pressure: 0.5, queue_waiting: 3, local_healthy: 2 },
        };
        for (source, want) in [
            ("request.tokens > 4000 && model.startsWith(\"gpt\")", true),
            ("request.tokens > 4000 && model.startsWith(\"qwen\")", false),
            ("request.models.exists(m, m == 'qwen') && size(request.models) == 2", true),
            ("request.tools && !request.images && request.dialect == 'openai'", true),
            ("request.app == 'curl' && request.client.startsWith('192.168.')", true),
            ("tenant.name == 'mia' && tenant.key == 'laptop' && 'kids' in tenant.groups", true),
            ("tenant.groups.all(g, g != 'parents')", true),
            ("time.hour == 8 && time.minute == 30 && time.weekday == 5", true),
            ("time.unix > 1795764600", false),
            ("telemetry.gpu_pressure > 0.4 || telemetry.queue_waiting > 10", true),
            ("telemetry.local_healthy == 0 ? true : false", false),
            ("has(tenant.key) && int(telemetry.gpu_pressure * 10.0) == 5", true),
        ] {
            let when = When::compile(source, &berlin()).unwrap_or_else(|mistake| panic!("{source}: {mistake}"));
            assert_eq!(when.holds(&asks), Ok(want), "{source}");
            assert_eq!(when.asks_pulse(), source.contains("telemetry"), "{source}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (source, line, column, told) in [
            ("request.tokens >", 1, 17, "Syntax error"),
            ("request.tokens > 1 &&\n  modle == 'x'", 2, 3, "there is no modle; there are request, tenant, model"),
            ("request.token > 1", 1, 9, "request has no member token; it has model, models, tokens"),
            ("model.matches('x')", 1, 7, "there is no function matches; there are size"),
            ("request == tenant", 1, 1, "request is no value by itself"),
            ("request.tokens + 1", 1, 1, "a condition must be true or false"),
            ("", 1, 1, ""),
        ] {
            let mistake = When::compile(source, &berlin()).unwrap_err();
            assert!(mistake.message.contains(told), "{source}: {mistake}");
            assert_eq!((mistake.line, mistake.column), (line, column), "{source}: {mistake}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_no_answer() {
        let when = When::compile("request.tokens / request.output_tokens_max > 2", &berlin()).unwrap();
        assert!(when.holds(&Asks::default()).is_err());
    }

    #[test]
    fn bombs_are_refused_or_small() {
        let of = |part: &str, count: usize, middle: &str, end: &str| part.repeat(count) + middle + &end.repeat(count);
        for source in [
            of("(", 500, "true", ")"),
            of("!", 1_000, "true", ""),
            of("1+", 400, "1 > 0", ""),
            of("[", 400, "", "]"),
            of("true?", 200, "true", ":false"),
            "[1,2,3].all(x, [1,2,3].all(y, [1,2,3].all(z, x+y+z > 0)))".to_owned(),
            "request.models.map(x, x + x).map(x, x + x).map(x, x + x).size() > 0".to_owned(),
            "x".repeat(SOURCE_BYTES_MAX + 1),
        ] {
            if let Ok(when) = When::compile(&source, &berlin()) {
                assert!(when.holds(&Asks::default()).is_ok(), "{source}");
            }
        }
        assert!(When::compile("[1].all(x, [1].all(y, x == y))", &berlin()).is_err());
        assert!(When::compile(&of("1+", 100, "1 > 0", ""), &berlin()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_brings_it_down(
            words in prop::collection::vec(prop::sample::select(vec![
                "request", ".", "tokens", "model", "tenant.groups", "exists", "(", ")", "g", ",", "'", "\"x\"", "&&", "||", "!",
                "?", ":", "1", "-", "[", "]", "{", "}", " in ", "==", ">", "+", "\n", "time.hour", "has", "\\u", "é", "0x",
            ]), 0..60)
        ) {
            let source = words.concat();
            if let Ok(when) = When::compile(&source, &berlin()) {
                let _answer = when.holds(&Asks::default());
            }
        }
    }
}
