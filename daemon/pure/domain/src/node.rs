//! Nodes: the machines with graphics cards that are known, this one among them.
//!
//! What presses an upstream's cards is asked of the node on which it stands, whichever that is and whoever reads it.

mod report;
mod trust;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::telemetry::Telemetry;
use crate::upstream::Upstream;

pub use report::{LeftOut, MODELS_MAX, Report, SERVERS_MAX, ServedModel, Server};
pub use trust::{Code, Refused, Session};

/// Most nodes that are kept besides this machine.
pub const NODES_MAX: usize = 64;

/// Who reads a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// This daemon: it is the machine on which it runs.
    Here,
    /// An Airlane that runs there and reports.
    Agent,
    /// We do, from an exporter of metrics.
    Exporter,
}

/// How the reading of a node goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NodeState {
    /// It has told nothing yet.
    #[default]
    Awaited,
    /// It tells regularly.
    Reporting,
    /// It has told nothing for a while.
    Silent {
        /// For how long, in seconds.
        age_s: u64,
    },
}

/// A machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name, unique among the nodes; an agent's upstream has the same.
    pub name: String,
    /// Who reads it.
    pub origin: Origin,
    /// Further hosts under which servers on it are reached, without a port.
    pub hosts: Vec<String>,
    /// How the reading goes.
    pub state: NodeState,
    /// Cards and machine as last told.
    pub telemetry: Arc<Telemetry>,
    /// Its model servers as last told.
    pub servers: Arc<Vec<Server>>,
    /// What its owner should know besides, in sentences.
    pub notes: Arc<Vec<String>>,
}

/// How long a node may be silent before what it told counts as old, in seconds: it tells every second, and a machine
/// under full load may miss a few.
pub const SILENT_AFTER_S: u64 = 5;

impl NodeState {
    /// The state of a node that has last told something `age_s` ago; `None` for never.
    #[must_use]
    pub const fn of_age(age_s: Option<u64>) -> Self {
        match age_s {
            None => Self::Awaited,
            Some(age_s) if age_s > SILENT_AFTER_S => Self::Silent { age_s },
            Some(_) => Self::Reporting,
        }
    }

    /// What is so and what to do about it, by who reads the node; `None` when all is well.
    #[must_use]
    pub fn sentence(&self, origin: Origin) -> Option<String> {
        let is_agent = origin != Origin::Exporter;
        match self {
            Self::Reporting => None,
            Self::Awaited if is_agent => Some("It has not reported yet: is Airlane running there?".to_owned()),
            Self::Awaited => Some("Its exporter has told of no card yet.".to_owned()),
            Self::Silent { age_s } if is_agent => Some(format!(
                "It has not reported for {age_s} s: is the machine on, and Airlane running there? What is shown is old."
            )),
            Self::Silent { age_s } => Some(format!(
                "Its exporter has told nothing for {age_s} s: is the machine on, and the exporter running there? What is \
                 shown is old."
            )),
        }
    }
}

impl Node {
    /// This machine.
    #[must_use]
    pub fn here(telemetry: Arc<Telemetry>) -> Self {
        let machine = telemetry.machine.as_ref();
        Self {
            name: machine.and_then(|machine| machine.host_name.clone()).unwrap_or_else(|| "here".to_owned()),
            origin: Origin::Here,
            hosts: Vec::new(),
            state: NodeState::Reporting,
            telemetry,
            servers: Arc::default(),
            notes: Arc::default(),
        }
    }

    /// Whether an upstream stands on this node, as far as its name and URL tell.
    #[must_use]
    pub fn holds(&self, upstream: &Upstream) -> bool {
        if upstream.is_node {
            return self.origin == Origin::Agent && upstream.name == self.name;
        }
        let host = upstream.host();
        let is_loopback = host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        // Another machine's loopback is not ours.
        if is_loopback && self.origin != Origin::Here {
            return false;
        }
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
            || self.telemetry.machine.as_ref().is_some_and(|machine| machine.holds(upstream))
            || (is_loopback && self.origin == Origin::Here)
    }
}

/// All nodes: this machine first.
#[derive(Debug, Clone, PartialEq)]
pub struct Nodes(Vec<Node>);

impl Default for Nodes {
    fn default() -> Self {
        Self(vec![Node::here(Arc::default())])
    }
}

impl Nodes {
    /// All of them, this machine first.
    #[must_use]
    pub fn all(&self) -> &[Node] {
        &self.0
    }

    /// All but this machine.
    pub fn others(&self) -> impl Iterator<Item = &Node> {
        self.0.iter().filter(|node| node.origin != Origin::Here)
    }

    /// The node of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Node> {
        self.0.iter().find(|node| node.name == name)
    }

    /// Cards and machine of this machine.
    #[must_use]
    pub fn here(&self) -> Arc<Telemetry> {
        let here = self.0.iter().find(|node| node.origin == Origin::Here);
        here.map(|node| node.telemetry.clone()).unwrap_or_default()
    }

    /// The node on which an upstream stands. An agent's own word goes before what we read from outside.
    #[must_use]
    pub fn of(&self, upstream: &Upstream) -> Option<&Node> {
        self.0.iter().find(|node| node.holds(upstream))
    }

    /// The same with these nodes in the place of all of that origin, as far as [`NODES_MAX`] allows.
    #[must_use]
    pub fn with(&self, origin: Origin, nodes: Vec<Node>) -> Self {
        let kept = self.0.iter().filter(|node| node.origin != origin).cloned();
        let mut all: Vec<Node> = kept.chain(nodes.into_iter().filter(|node| node.origin == origin)).collect();
        all.sort_by_key(|node| node.origin);
        all.truncate(NODES_MAX + 1);
        Self(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Machine, Network};
    use crate::upstream::UpstreamKind;
    use crate::upstream::tests::upstream;

    fn node(name: &str, origin: Origin, address: &str) -> Node {
        let networks = vec![Network { addresses: vec![address.parse().unwrap()], ..Network::default() }];
        let machine = Machine { host_name: Some(name.to_owned()), networks, ..Machine::default() };
        let telemetry = Telemetry { machine: Some(machine), ..Telemetry::default() };
        Node { name: name.to_owned(), origin, ..Node::here(Arc::new(telemetry)) }
    }

    #[test]
    fn each_upstream_stands_on_one_node() {
        let nodes = Nodes::default()
            .with(Origin::Agent, vec![node("gpu-box", Origin::Agent, "192.168.1.20")])
            .with(Origin::Here, vec![node("router", Origin::Here, "192.168.1.1")])
            .with(
                Origin::Exporter,
                vec![Node {
                    hosts: vec!["nas.lan".to_owned(), "192.168.1.30".to_owned()],
                    ..node("nas", Origin::Exporter, "10.9.9.9")
                }],
            );
        for (name, origin, want) in [
            ("ollama", "http://127.0.0.1:11434", Some("router")),
            ("ollama", "http://localhost:11434", Some("router")),
            ("a", "http://192.168.1.1:1", Some("router")),
            ("a", "http://192.168.1.20:11434", Some("gpu-box")),
            ("a", "http://gpu-box.lan:11434", Some("gpu-box")),
            ("a", "http://NAS.lan:8000", Some("nas")),
            ("a", "http://192.168.1.30:8000", Some("nas")),
            ("a", "https://api.openai.com", None),
        ] {
            let mut upstream = upstream(name, UpstreamKind::Openai);
            upstream.origin = origin.to_owned();
            assert_eq!(nodes.of(&upstream).map(|node| node.name.as_str()), want, "{name} {origin}");
        }
        for (name, want) in [("gpu-box", Some("gpu-box")), ("nas", None), ("gone", None)] {
            let upstream = Upstream::node(name, "http://127.0.0.1:8484".to_owned());
            assert_eq!(nodes.of(&upstream).map(|node| node.name.as_str()), want, "{name}");
        }
        assert_eq!(nodes.all()[0].name, "router");
        assert_eq!(nodes.others().count(), 2);
        assert_eq!(nodes.with(Origin::Agent, Vec::new()).others().count(), 1);
    }

    #[test]
    fn this_machine_holds_its_loopback_before_it_is_read() {
        let mut local = upstream("a", UpstreamKind::Openai);
        local.origin = "http://127.0.0.1:1".to_owned();
        assert!(Nodes::default().of(&local).is_some());
    }

    #[test]
    fn nodes_are_bounded_and_this_machine_stays() {
        let many: Vec<Node> = (0..1_000).map(|n| node(&format!("n{n}"), Origin::Agent, "10.0.0.1")).collect();
        let nodes = Nodes::default().with(Origin::Agent, many);
        assert_eq!((nodes.all().len(), nodes.all()[0].origin), (NODES_MAX + 1, Origin::Here));
    }

    #[test]
    fn silence_is_told() {
        for (age_s, want) in [
            (None, NodeState::Awaited),
            (Some(0), NodeState::Reporting),
            (Some(5), NodeState::Reporting),
            (Some(6), NodeState::Silent { age_s: 6 }),
        ] {
            let state = NodeState::of_age(age_s);
            assert_eq!(state, want);
            for (origin, who) in [(Origin::Agent, "Airlane"), (Origin::Exporter, "exporter")] {
                let sentence = state.sentence(origin);
                assert_eq!(sentence.is_none(), state == NodeState::Reporting);
                assert!(sentence.is_none_or(|sentence| sentence.contains(who)), "{state:?} {who}");
            }
        }
    }
}
