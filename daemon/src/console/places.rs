//! The places in the words of the console.

use domain::catalogue::Target;
use domain::config::Config;
use domain::dispatch::Dispatch;
use domain::moment::Moment;
use domain::node::{Node, Nodes, Origin};
use domain::places::Place;
use webui::{HealthRow, PlaceRow, Places, SiteRow};

/// How each upstream and each of its models does.
pub(super) fn all(config: &Config, dispatch: &Dispatch, nodes: &Nodes, now: Moment) -> Places {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let queues = dispatch.queues();
    let upstreams = config.upstreams.iter().map(|upstream| {
        let known = dispatch.places.iter().filter(|(target, _)| target.upstream == upstream.name);
        let mut models: Vec<PlaceRow> =
            known.map(|(target, place)| row(target, place, queues.get(target), now)).collect();
        models.sort_unstable_by(|one, other| one.model.cmp(&other.model));
        let site = dispatch.places.site(&upstream.name);
        SiteRow {
            name: upstream.name.clone(),
            kind: upstream.kind.name().to_owned(),
            local: upstream.local,
            health: HealthRow::of(&dispatch.places.standing(&upstream.name, now)),
            engine: site.and_then(|site| site.engine).map(|engine| engine.name().to_owned()),
            pressure_percent: site.map_or(0, |site| site.pressure),
            throttled: site.is_some_and(|site| site.throttled),
            gpus: exporter(nodes, &upstream.name).map(|node| node.telemetry.gpus.clone()),
            models,
        }
    });
    Places { running: count(dispatch.running()), waiting: count(dispatch.waiting()), upstreams: upstreams.collect() }
}

/// The machine whose exporter was named at this upstream.
fn exporter<'n>(nodes: &'n Nodes, upstream: &str) -> Option<&'n Node> {
    nodes.named(upstream).filter(|node| node.origin == Origin::Exporter)
}

fn row(target: &Target, place: &Place, waiting: Option<&usize>, now: Moment) -> PlaceRow {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    let speed = |is_known: bool, per_s: f64| is_known.then(|| tenths(per_s));
    PlaceRow {
        model: target.model.clone(),
        health: HealthRow::of(&place.standing(now)),
        slots: place.slots,
        running: count(place.running.len()),
        others_running: u64::from(place.told.others.running),
        others_waiting: u64::from(place.told.others.waiting),
        kv_used_percent: place.told.kv_used_percent,
        waiting: count(waiting.copied().unwrap_or(0)),
        waiting_s: tenths(place.waiting.iter().sum::<std::time::Duration>().as_secs_f64()),
        served: place.served,
        prefill_tokens_per_s: speed(place.pace.prefill_known, place.pace.prefill_per_s),
        decode_tokens_per_s: speed(place.pace.decode_known, place.pace.decode_per_s),
        resident: place.resident,
        on_cpu_percent: place.told.on_cpu_percent,
        loading_s: place.told.loading_since.map(|since| now.since(since).as_secs()),
    }
}
