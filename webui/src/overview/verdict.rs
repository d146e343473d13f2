//! The first sentence of the page: can people use it?

use crate::facts::{Overview, UpstreamRow, UpstreamState};
use crate::texts;

/// The answer, worst thing first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Class of the style sheet: `good`, `wait`, `warn` or `bad`.
    pub(super) tone: &'static str,
    pub(super) headline: String,
    pub(super) detail: String,
}

impl Verdict {
    pub(super) fn of(house: &Overview) -> Self {
        // The loopback always answers, which tells nobody whether a prompt would be.
        let rows: Vec<&UpstreamRow> = house.upstreams.iter().filter(|row| !row.is_loopback()).collect();
        let (all, models) = (rows.len(), house.real_models().count());
        let (mut answering, mut asking, mut silent) = (0, 0, Vec::new());
        for row in rows {
            match &row.state {
                UpstreamState::Answers { .. } => answering += 1,
                UpstreamState::Asking => asking += 1,
                UpstreamState::Silent { .. } if row.is_silent() => silent.push(row.name.as_str()),
                // It sleeps, and answers when it is needed.
                UpstreamState::Silent { .. } => answering += 1,
            }
        }
        match (models, silent.as_slice()) {
            _ if house.upstreams.is_empty() => Self::new("warn", texts::NO_UPSTREAM, texts::NO_UPSTREAM_DETAIL),
            _ if all == 0 => Self::new("warn", texts::NO_UPSTREAM, texts::ONLY_LOOPBACK_DETAIL),
            (0, []) if asking > 0 => Self::new("wait", texts::ASKING, texts::asking_detail(all)),
            (0, []) => Self::new("warn", texts::NO_MODEL, texts::NO_MODEL_DETAIL),
            (_, silent) if silent.len() == all => {
                Self::new("bad", texts::ALL_SILENT, texts::no_model_left_detail(all, silent.len()))
            }
            (0, silent) => Self::new("bad", texts::NO_MODEL, texts::no_model_left_detail(all, silent.len())),
            (_, []) => Self::new("good", texts::READY, texts::ready_detail(answering, all, models)),
            (_, silent) => Self::new("warn", texts::ready_but(silent), texts::ready_detail(answering, all, models)),
        }
    }

    fn new(tone: &'static str, headline: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { tone, headline: headline.into(), detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ModelRow;

    const FINE: UpstreamState = UpstreamState::Answers { models: 1 };
    const BARE: UpstreamState = UpstreamState::Answers { models: 0 };

    fn ill() -> UpstreamState {
        UpstreamState::Silent { reason: String::new() }
    }

    fn row(name: &str, kind: &str, state: UpstreamState) -> UpstreamRow {
        UpstreamRow {
            name: name.to_owned(),
            kind: kind.to_owned(),
            where_: String::new(),
            state,
            health: crate::HealthRow::default(),
        }
    }

    #[test]
    fn it_says_whether_prompts_are_answered() {
        for (states, models, tone, headline) in [
            (vec![], 0, "warn", "No model server yet"),
            (vec![UpstreamState::Asking], 0, "wait", "Starting"),
            (vec![UpstreamState::Asking, BARE], 0, "wait", "Starting"),
            (vec![FINE], 3, "good", "Ready"),
            (vec![FINE, UpstreamState::Asking], 3, "good", "Ready"),
            (vec![FINE, ill()], 3, "warn", "Ready, but u1 does not work"),
            (vec![FINE, ill(), ill()], 3, "warn", "Ready, but 2 upstreams do not work"),
            (vec![BARE], 0, "warn", "No model to ask for"),
            (vec![BARE, ill()], 0, "bad", "No model to ask for"),
            (vec![ill()], 0, "bad", "No upstream works"),
            // Models of an upstream that has just failed are offered a little longer.
            (vec![ill()], 3, "bad", "No upstream works"),
        ] {
            let model = ModelRow { id: "m".to_owned(), upstream: "u0".to_owned(), context_tokens: None, chat: None };
            let upstreams = states.into_iter().enumerate();
            let upstreams = upstreams.map(|(index, state)| row(&format!("u{index}"), "openai", state)).collect();
            let mut house = Overview { upstreams, models: vec![model; models], ..Overview::default() };
            let verdict = Verdict::of(&house);
            assert_eq!((verdict.tone, verdict.headline.as_str()), (tone, headline), "{house:?}");
            house.upstreams.push(row("echo", "loopback", FINE));
            let verdict = Verdict::of(&house);
            assert_eq!((verdict.tone, verdict.headline.as_str()), (tone, headline), "with the loopback: {house:?}");
        }
    }
}
