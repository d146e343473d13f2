//! Kept answers, made at each scrape of what the cache knows of itself.

use domain::cache::{Place, Questioned, Stats};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = [(&'static str, &'static str); 1];

/// Name, help and value of a gauge that each store has.
type Row = (&'static str, &'static str, fn(&Place) -> u64);

const ROWS: [Row; 3] = [
    ("entries", "Answers that are kept", |place| place.entries),
    ("bytes", "What kept answers take", |place| place.bytes),
    ("bytes_max", "What kept answers may take", |place| place.bytes_max),
];

/// Registers everything under names that begin with `cache_`.
pub(super) fn register(stats: &Stats, registry: &mut Registry) {
    for (name, help, value) in ROWS {
        let family = Family::<Labels, Gauge>::default();
        for (store, place) in [("memory", &stats.memory), ("database", &stats.database)] {
            family.get_or_create(&[("store", store)]).set(i64::try_from(value(place)).unwrap_or(i64::MAX));
        }
        registry.register(name, help, family);
    }
    for (name, help, count) in [
        ("written", "Answers written to the database", stats.written),
        ("unwritten", "Answers not written, because the disk was full, slow or ill", stats.unwritten),
        ("evicted", "Answers that made room for others", stats.evicted),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(count);
        registry.register(name, help, counter);
    }
    register_questions(&stats.questions, registry);
    let trouble = Gauge::<i64>::default();
    trouble.set(i64::from(!stats.trouble.is_empty()));
    registry.register("trouble", "1 while the database needs a look; airlane cache stats says why", trouble);
}

/// Questions in other words.
fn register_questions(questions: &Questioned, registry: &mut Registry) {
    for (name, help, count) in [
        ("semantic_questions", "Questions that were looked for by their meaning", questions.looked),
        ("semantic_hits", "Of these, those that got a kept answer", questions.given),
        ("semantic_late", "Of these, those for which there was no time", questions.late),
        ("semantic_audited", "Hits that were asked anew and judged, to measure", questions.audited),
        ("semantic_audited_wrong", "Of these, those of which the kept answer was wrong", questions.audited_wrong),
        (
            "semantic_audited_unclear",
            "Hits that were asked anew and of which nobody could tell",
            questions.audited_unclear,
        ),
        ("semantic_said_wrong", "Hits of which whoever asked said that they were wrong", questions.said_wrong),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(count);
        registry.register(name, help, counter);
    }
    let judged = Family::<Labels, Counter>::default();
    for (result, count) in
        [("same", questions.judged_same), ("other", questions.judged_other), ("unclear", questions.unjudged)]
    {
        judged.get_or_create(&[("result", result)]).inc_by(count);
    }
    registry.register("semantic_judged", "Kept answers that were compared with new ones", judged);
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode_registry;

    #[test]
    fn what_is_kept_is_counted() {
        let place = |entries| Place { entries, bytes: 10 * entries, bytes_max: 100 };
        let stats = Stats {
            trouble: "full".to_owned(),
            memory: place(1),
            database: place(2),
            unwritten: 3,
            questions: Questioned { looked: 8, audited_wrong: 1, judged_other: 2, ..Questioned::default() },
            ..Stats::default()
        };
        let mut registry = Registry::with_prefix("airlane_cache");
        register(&stats, &mut registry);
        let mut text = String::new();
        encode_registry(&mut text, &registry).unwrap();
        for want in [
            "airlane_cache_entries{store=\"memory\"} 1\n",
            "airlane_cache_bytes{store=\"database\"} 20\n",
            "airlane_cache_bytes_max{store=\"database\"} 100\n",
            "airlane_cache_unwritten_total 3\n",
            "airlane_cache_written_total 0\n",
            "airlane_cache_trouble 1\n",
            "airlane_cache_semantic_questions_total 8\n",
            "airlane_cache_semantic_audited_wrong_total 1\n",
            "airlane_cache_semantic_judged_total{result=\"other\"} 2\n",
        ] {
            assert!(text.contains(want), "{want} is missing:\n{text}");
        }
    }
}
