//! Decides on a request as the gateway would, and sends nothing.

use std::sync::Arc;
use std::time::Duration;

use domain::dispatch::{Attempt, Entry, House, Look};
use domain::policy::{Asks, Decided, Effective, Pulse};
use domain::refusal::Refusal;
use domain::route::{Dropped, LEGS_MAX, Leg, Score};
use domain::tenant::Unknown;
use webui::{Candidate, Chosen, DecidedBy, Decision, DroppedRow, Parts, PolicyRow, Question, RefusalRow};
use wire::exchange::Ask;

use crate::dispatch::Dispatcher;
use crate::live::Snapshot;

/// The time of a decision, and how the house does then.
pub(super) struct Now {
    pub(super) unix_s: i64,
    pub(super) pulse: Pulse,
}

/// The decision with everything that it was made of.
///
/// # Errors
/// The body is not what the surface wants.
pub(super) fn decide(
    dispatcher: &Dispatcher,
    snapshot: &Snapshot,
    question: &Question,
    now: &Now,
) -> Result<Decision, String> {
    let mut ask = Ask::read(question.surface, &question.body).map_err(|malformed| malformed.to_string())?;
    let (policy, refusal) = governed(snapshot, question, &ask, now);
    if let Some(system) = &policy.system {
        ask.tell_first(system);
    }
    let lane = policy.lane_of(question.lane);
    let mut wish = (*ask.wish).clone();
    wish.provider.keep_known(&snapshot.config);
    policy.bind(&mut wish);
    let mut entry = Entry {
        near: ask.near,
        wish: Arc::new(wish),
        lane,
        client: Arc::default(),
        since: dispatcher.now(),
        tried: Vec::new(),
        is_stream: ask.stream,
        until: None,
        attempt: Attempt::First,
    };
    let look = |entry: &Entry| {
        let house = House { config: &snapshot.config, catalogue: &snapshot.catalogue };
        dispatcher.with(|dispatch, now| dispatch.look(entry, house, now))
    };
    let decision = Decision {
        surface: ask.near.path().to_owned(),
        models: ask.wish.models.clone(),
        lane: lane.name().to_owned(),
        prompt_tokens: ask.wish.prompt_tokens,
        output_tokens_max: ask.wish.output_tokens_max,
        policies: policy.decided().into_iter().map(policy_row).collect(),
        ..Decision::default()
    };
    if let Some(refusal) = refusal {
        return Ok(Decision { refusal: Some(refused(&refusal)), ..decision });
    }
    if ask.mock_fallbacks && !snapshot.config.route.mock_fallbacks {
        return Ok(Decision { refusal: Some(refused(&Refusal::MockOff)), ..decision });
    }
    let mut seen = look(&entry);
    if ask.mock_fallbacks
        && let Some(first) = seen.route.legs.first()
    {
        entry.tried.push(first.target.clone());
        seen = look(&entry);
    }
    let rooms = seen.room.iter().copied();
    let rows = seen.route.legs.iter().zip(rooms);
    let candidates = rows.map(|(leg, room)| candidate(leg, room, cannot_take(&ask, snapshot, leg))).collect();
    let dropped = seen.route.dropped.iter().map(dropped_row).collect();
    let (chosen, refusal) = outcome(&ask, snapshot, entry, seen, look);
    Ok(Decision { chosen, refusal, candidates, dropped, ..decision })
}

/// What holds for the request, and whether that is a refusal.
fn governed(snapshot: &Snapshot, question: &Question, ask: &Ask, now: &Now) -> (Arc<Effective>, Option<Refusal>) {
    let asker = &question.asker;
    let groups: Vec<String> = asker.groups.split(',').map(str::trim).map(str::to_owned).collect();
    let asks = Asks {
        tenant: &asker.tenant,
        // A device of which an address is all that is known; who is named is known.
        is_stranger: asker.tenant.is_empty()
            && asker.key.is_none()
            && asker.client.is_some_and(|client| !client.to_canonical().is_loopback())
            && snapshot.config.endpoint.unknown_devices == Unknown::Local,
        key: asker.key.as_deref(),
        groups: &groups,
        app: &asker.app,
        client: asker.client,
        models: &ask.wish.models,
        traits: ask.traits(),
        unix_s: now.unix_s,
        pulse: now.pulse,
    };
    // What cannot be worked out is counted where requests are served.
    let policy = snapshot.config.policy(&asks, |_, _| {});
    let refusal = policy.refusal(&asks);
    (policy, refusal)
}

fn policy_row(decided: Decided) -> PolicyRow {
    let by = decided.by.into_iter();
    PolicyRow {
        field: decided.field.to_owned(),
        value: decided.value,
        by: by.map(|(layer, policy)| DecidedBy { layer: layer.name().to_owned(), policy }).collect(),
    }
}

/// Where the request ends up: whoever cannot take it is passed over, as the gateway does.
fn outcome(
    ask: &Ask,
    snapshot: &Snapshot,
    mut entry: Entry,
    mut seen: Look,
    look: impl Fn(&Entry) -> Look,
) -> (Option<Chosen>, Option<RefusalRow>) {
    let mut passed_over = None;
    for _ in 0..LEGS_MAX {
        if let Some(refusal) = &seen.refusal {
            return (None, Some(passed_over.unwrap_or_else(|| refused(refusal))));
        }
        let Some(leg) = seen.goes.as_ref().or(seen.route.legs.first()) else { break };
        let target = leg.target.clone();
        match cannot_take(ask, snapshot, leg) {
            None => {
                let waits = seen.goes.is_none();
                return (Some(Chosen { upstream: target.upstream.clone(), model: target.model.clone(), waits }), None);
            }
            Some(why) => {
                let message = format!("upstream {} cannot take this request: {why}", target.upstream);
                passed_over = Some(RefusalRow { kind: "not_carried".to_owned(), message, retry_after_s: None });
                entry.tried.push(target);
                seen = look(&entry);
            }
        }
    }
    (None, Some(passed_over.unwrap_or_else(|| refused(&Refusal::NoModelNamed))))
}

/// Why a request cannot be put into the words of a place.
fn cannot_take(ask: &Ask, snapshot: &Snapshot, leg: &Leg) -> Option<String> {
    let upstream = snapshot.config.upstream(&leg.target.upstream)?;
    ask.outgoing(leg.far, &leg.target.model, upstream.host()).err().map(|error| error.to_string())
}

fn candidate(leg: &Leg, room: bool, cannot_take: Option<String>) -> Candidate {
    Candidate {
        upstream: leg.target.upstream.clone(),
        model: leg.target.model.clone(),
        surface: leg.far.path().to_owned(),
        local: leg.is_local,
        strategy: leg.strategy.name().to_owned(),
        reason: leg.reason().to_string(),
        bound: leg.is_bound,
        last_resort: leg.is_last_resort,
        room,
        cannot_take,
        score: parts(&leg.score),
    }
}

fn parts(score: &Score) -> Parts {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Parts {
        wake_ms: ms(score.wake),
        wait_ms: ms(score.wait),
        load_ms: ms(score.load),
        prefill_ms: ms(score.prefill),
        decode_ms: ms(score.decode),
        warm_tokens: score.warm_tokens,
        price_micro_usd: score.price_micros,
        running: score.running,
        others: score.others,
        slow_percent: score.slow_percent,
    }
}

fn dropped_row(dropped: &Dropped) -> DroppedRow {
    let target = dropped.target.clone();
    DroppedRow { upstream: target.upstream.clone(), model: target.model.clone(), reason: dropped.why.to_string() }
}

fn refused(refusal: &Refusal) -> RefusalRow {
    // Whole seconds after which the wait is over, at least one, as in the header `Retry-After`.
    let up = |wait: Duration| (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
    RefusalRow {
        kind: refusal.kind().to_owned(),
        message: refusal.to_string(),
        retry_after_s: refusal.retry_after().map(up),
    }
}
