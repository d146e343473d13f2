//! What is ill, and what to do about it.

use domain::health::State;
use domain::node::Origin;
use domain::telemetry::Telemetry;

use super::gpus::wants_action;
use crate::facts::{Nodes, Overview, UpstreamRow, UpstreamState};
use crate::texts;

/// One thing that needs a person.
pub(super) struct Ill {
    /// Class of the style sheet: `bad` or `warn`.
    pub(super) tone: &'static str,
    pub(super) what: String,
    /// In the words of the part that failed; may be several lines.
    pub(super) why: String,
    pub(super) remedy: String,
}

/// Everything that needs a person, the worst first.
pub(super) fn all(house: &Overview, telemetry: &Telemetry, nodes: &Nodes) -> Vec<Ill> {
    let is_node = |name: &str| nodes.nodes.iter().any(|node| node.origin == Origin::Agent && node.name == name);
    let mut ills = Vec::new();
    if let Some(problem) = &house.config_problem {
        ills.push(Ill {
            tone: "bad",
            what: texts::CONFIG_REFUSED.to_owned(),
            why: problem.trim().to_owned(),
            remedy: texts::config_refused_remedy(house.revision),
        });
    }
    for row in &house.upstreams {
        if let UpstreamState::Silent { reason } = &row.state
            && row.is_silent()
        {
            ills.push(Ill {
                tone: "bad",
                what: texts::silent(&row.name),
                why: reason.clone(),
                remedy: if is_node(&row.name) {
                    texts::SILENT_NODE_REMEDY.to_owned()
                } else {
                    texts::silent_remedy(&row.where_)
                },
            });
        }
    }
    let refuse_key = |row: &&UpstreamRow| {
        row.health.state == State::Misconfigured && !matches!(row.state, UpstreamState::Silent { .. })
    };
    ills.extend(house.upstreams.iter().filter(refuse_key).map(|row| Ill {
        tone: "bad",
        what: texts::misconfigured(&row.name),
        why: row.health.cause.clone().unwrap_or_default(),
        remedy: texts::MISCONFIGURED_REMEDY.to_owned(),
    }));
    ills.extend(cards(telemetry));
    for row in &house.upstreams {
        if row.state == (UpstreamState::Answers { models: 0 }) {
            ills.push(Ill {
                tone: "warn",
                what: texts::offers_nothing(&row.name),
                why: String::new(),
                remedy: texts::OFFERS_NOTHING_REMEDY.to_owned(),
            });
        }
    }
    ills.extend(house.upstreams.iter().filter(|row| row.health.ignores_cancel).map(|row| Ill {
        tone: "warn",
        what: texts::ignores_cancel(&row.name),
        why: String::new(),
        remedy: texts::IGNORES_CANCEL_REMEDY.to_owned(),
    }));
    if !house.restart_needed.is_empty() {
        ills.push(Ill {
            tone: "warn",
            what: texts::RESTART_NEEDED.to_owned(),
            why: house.restart_needed.join("\n"),
            remedy: texts::RESTART_REMEDY.to_owned(),
        });
    }
    ills
}

/// Cards that cannot be read, and a driver that keeps all of them from being read.
fn cards(telemetry: &Telemetry) -> Vec<Ill> {
    let gpus = &telemetry.gpus;
    let driver = gpus.state.sentence().filter(|_| wants_action(&gpus.state)).map(|sentence| Ill {
        tone: "warn",
        what: texts::GPUS_NOT_READ.to_owned(),
        why: String::new(),
        remedy: sentence.into_owned(),
    });
    let cards = gpus.cards.iter().filter_map(|card| {
        let remedy = card.state.sentence()?.into_owned();
        Some(Ill { tone: "bad", what: texts::card_not_read(&card.title()), why: String::new(), remedy })
    });
    driver.into_iter().chain(cards).collect()
}
