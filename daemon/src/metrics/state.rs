//! How each upstream does, made at each scrape: a line for each of the states, so that a graph has no gaps. Upstreams are
//! those of the config, and states are few.

use domain::health::State;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = [(&'static str, String); 2];

/// Registers the gauge `state`.
pub(super) fn register(states: &[(&str, State)], registry: &mut Registry) {
    let family = Family::<Labels, Gauge>::default();
    for (upstream, current) in states {
        for state in State::ALL {
            let labels = [("upstream", (*upstream).to_owned()), ("state", state.name().to_owned())];
            family.get_or_create(&labels).set(i64::from(state == *current));
        }
    }
    registry.register("state", "1 for how the upstream does", family);
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode_registry;

    #[test]
    fn one_state_is_1() {
        let mut registry = Registry::with_prefix("airlane_upstream");
        register(&[("box", State::Offline), ("cloud", State::Healthy)], &mut registry);
        let mut text = String::new();
        encode_registry(&mut text, &registry).unwrap();
        let mut set: Vec<&str> = text.lines().filter(|line| line.ends_with(" 1")).collect();
        set.sort_unstable();
        let want = [
            "airlane_upstream_state{upstream=\"box\",state=\"offline\"} 1",
            "airlane_upstream_state{upstream=\"cloud\",state=\"healthy\"} 1",
        ];
        assert_eq!(set, want);
        assert_eq!(text.lines().filter(|line| line.ends_with(" 0")).count(), 2 * (State::ALL.len() - 1));
    }
}
