//! `airlane node`: the boxes with GPUs that report here, and this machine as one of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use domain::node::{NodeState, Origin};
use webui::{FoundNodes, NodeName, NodeRow, Nodes, PairWish, PairingCode, RouterRow};

use super::daemon::Daemon;
use super::plain::plain;
use super::status::gpus;
use super::{DaemonArgs, Done};

#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the nodes that report here, and those that announce themselves on the network
    List,
    /// Take a node in: its models are then offered here
    Pair {
        /// A name from `airlane node list`, or an address like 192.168.1.20:8484
        node: String,
        /// The code that the node shows (`airlane node code` there); asked for unless given
        code: Option<String>,
        /// What to call it here, if not by its own name
        #[arg(long)]
        name: Option<String>,
    },
    /// End the pair with a node, or on a node that with its router
    Forget {
        /// Its name
        name: String,
    },
    /// On a node: make a code with which a router can pair
    Code,
    /// On a node: which router it reports to, and whether its reports arrive
    Status,
}

pub(super) async fn run(args: &DaemonArgs, node: NodeArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    match node.action {
        Action::List => list(&daemon).await,
        Action::Status => status(&daemon).await,
        Action::Pair { node, code, name } => {
            let code = match code {
                Some(code) => code,
                None => ask_code(&node)?,
            };
            let paired: NodeName = daemon.wish("/api/v1/nodes/pair", &PairWish { node, code, name }, ELSEWHERE).await?;
            say(&format!("{} is paired; its models are offered in a moment", paired.name));
            Ok(Done::Yes)
        }
        Action::Forget { name } => {
            let gone: NodeName = daemon.wish("/api/v1/nodes/forget", &NodeName { name }, ELSEWHERE).await?;
            say(&format!("{} is forgotten", gone.name));
            Ok(Done::Yes)
        }
        Action::Code => {
            let code: PairingCode = daemon.wish("/api/v1/nodes/code", &(), ELSEWHERE).await?;
            say(&format!("{}  (good for 15 minutes; on the router: airlane node pair NAME {})", code.code, code.code));
            Ok(Done::Yes)
        }
    }
}

async fn list(daemon: &Daemon) -> anyhow::Result<Done> {
    let nodes = nodes(daemon).await?.context("nodes are shown on the router's own machine only; run it there")?;
    let found: FoundNodes = daemon.wish("/api/v1/nodes/find", &(), ELSEWHERE).await?;
    let text = text(&nodes, &found);
    if text.is_empty() {
        println!("no nodes, and none announces itself; start one with `airlane run --node` on a box with a GPU");
        return Ok(Done::NothingThere);
    }
    print!("{}", plain(&text));
    Ok(Done::Yes)
}

async fn status(daemon: &Daemon) -> anyhow::Result<Done> {
    let nodes = nodes(daemon).await?.context("this is shown on the node's own machine only; run it there")?;
    let (text, done) = as_node(&nodes);
    say(&text);
    Ok(done)
}

/// How this machine does as a node, and what to do next.
fn as_node(nodes: &Nodes) -> (String, Done) {
    match (&nodes.node, &nodes.reports_to) {
        (None, _) => (
            "this airlane is no node; start it with `airlane run --node`, or set enabled = true in [node]".to_owned(),
            Done::NothingThere,
        ),
        (Some(name), None) => (
            format!(
                "{name} belongs to no router yet: `airlane node code` here makes a code, and `airlane node pair {name} CODE` on \
                 the router takes it in"
            ),
            Done::NothingThere,
        ),
        (Some(name), Some(RouterRow { name: router, address, problem: None })) => {
            (format!("{name} reports to {router} at {address}"), Done::Yes)
        }
        (Some(name), Some(RouterRow { name: router, address, problem: Some(problem) })) => {
            (format!("{name} belongs to {router} at {address}, but {problem}"), Done::NothingThere)
        }
    }
}

/// The machines of the running airlane; `None` where it does not show them.
pub(super) async fn nodes(daemon: &Daemon) -> anyhow::Result<Option<Nodes>> {
    let body = daemon.console("/api/v1/nodes").await?;
    body.map(|body| serde_json::from_slice(&body).context("what answers there is no airlane of this version"))
        .transpose()
}

fn text(nodes: &Nodes, found: &FoundNodes) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write_text(&mut out, nodes, found);
    out
}

fn write_text(out: &mut String, nodes: &Nodes, found: &FoundNodes) -> std::fmt::Result {
    write(out, nodes)?;
    let known: BTreeSet<&str> = nodes.nodes.iter().filter_map(|node| node.address.as_deref()).collect();
    for found in &found.found {
        if found.paired_as.is_some() || found.addresses.iter().any(|address| known.contains(address.as_str())) {
            continue;
        }
        let address = found.addresses.first().map_or("", String::as_str);
        writeln!(out, "{} at {address}: not paired; `airlane node pair {}` takes it in", found.name, found.name)?;
    }
    Ok(())
}

/// All nodes but this machine, with their cards, and the router that this machine reports to.
pub(super) fn write(out: &mut String, nodes: &Nodes) -> std::fmt::Result {
    if let Some(router) = &nodes.reports_to {
        let problem = router.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
        writeln!(out, "router    {} at {}{problem}", router.name, router.address)?;
    }
    for node in nodes.nodes.iter().filter(|node| node.origin != Origin::Here) {
        let address = node.address.as_ref().map(|address| format!(" at {address}")).unwrap_or_default();
        writeln!(out, "node      {}{address}: {}", node.name, state(node))?;
        for note in &node.notes {
            writeln!(out, "          {note}")?;
        }
        // A node that has told nothing yet has no state of its cards either; an exporter's failure stands there.
        if node.state != NodeState::Awaited || node.origin == Origin::Exporter {
            gpus::write(out, &node.telemetry.gpus)?;
        }
    }
    Ok(())
}

fn state(node: &NodeRow) -> String {
    if node.sentence.is_none() && node.origin == Origin::Exporter {
        return "its exporter tells of its cards".to_owned();
    }
    let models: usize = node.servers.iter().map(|server| server.models.len()).sum();
    match (&node.sentence, models) {
        (Some(sentence), _) => sentence.clone(),
        (None, 1) => "reports, 1 model".to_owned(),
        (None, models) => format!("reports, {models} models"),
    }
}

fn ask_code(node: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("the code is missing; `airlane node code` on {node} shows it");
    }
    print!("code that {node} shows (`airlane node code` there): ");
    std::io::stdout().flush()?;
    let mut code = String::new();
    std::io::stdin().read_line(&mut code)?;
    Ok(code)
}

/// Why there is nothing to ask.
const ELSEWHERE: &str = "nodes are paired on the router's own machine only; run it there";

fn say(text: &str) {
    println!("{}", plain(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::gpu::{GpuState, Gpus};
    use domain::telemetry::Telemetry;
    use webui::FoundRow;

    #[test]
    fn nodes_are_listed_with_what_to_do() {
        let row = |name: &str, origin, state: NodeState| NodeRow {
            name: name.to_owned(),
            origin,
            address: Some("10.0.0.2:8484".to_owned()),
            sentence: state.sentence(origin),
            state,
            telemetry: Telemetry::default(),
            servers: Vec::new(),
            notes: vec![format!("a note on {name}")],
        };
        let nodes = Nodes {
            node: Some("hall".to_owned()),
            nodes: vec![
                row("here", Origin::Here, NodeState::Reporting),
                row("attic", Origin::Agent, NodeState::Silent { age_s: 9 }),
                NodeRow {
                    telemetry: Telemetry {
                        gpus: Gpus { state: GpuState::Untold { reason: "no route".to_owned() }, ..Gpus::default() },
                        ..Telemetry::default()
                    },
                    ..row("nas", Origin::Exporter, NodeState::Awaited)
                },
            ],
            reports_to: Some(RouterRow {
                name: "house".to_owned(),
                address: "10.0.0.1:8484".to_owned(),
                problem: Some("reports do not arrive".to_owned()),
            }),
        };
        let found = |name: &str, address: &str| FoundRow {
            name: name.to_owned(),
            version: "1".to_owned(),
            paired_as: (name == "moved").then(|| "attic".to_owned()),
            addresses: vec![address.to_owned()],
        };
        let found = FoundNodes {
            found: vec![
                found("attic", "10.0.0.2:8484"),
                found("gpu-box", "10.0.0.3:8484"),
                found("moved", "10.0.0.4:8484"),
            ],
        };
        let text = text(&nodes, &found);
        for want in [
            "router    house at 10.0.0.1:8484: reports do not arrive",
            "attic at 10.0.0.2:8484: It has not reported for 9 s",
            "airlane node pair gpu-box",
            "nas at 10.0.0.2:8484: Its exporter",
            "no route",
            "\n          a note on attic\n",
        ] {
            assert!(text.contains(want), "{text}");
        }
        assert!(!text.contains("here at") && !text.contains("pair attic"), "{text}");
        assert!(!text.contains("moved"), "it is one of ours: {text}");
        assert!(super::text(&Nodes::default(), &FoundNodes::default()).is_empty());
    }

    #[test]
    fn a_node_says_what_to_do_next() {
        let router = |problem: Option<&str>| RouterRow {
            name: "house".to_owned(),
            address: "10.0.0.1:8484".to_owned(),
            problem: problem.map(str::to_owned),
        };
        for (node, reports_to, want, is_well) in [
            (None, None, "airlane run --node", false),
            (Some("gpu-box"), None, "`airlane node code` here", false),
            (Some("gpu-box"), None, "airlane node pair gpu-box CODE", false),
            (Some("gpu-box"), Some(router(None)), "reports to house at 10.0.0.1:8484", true),
            (Some("gpu-box"), Some(router(Some("it is off"))), "at 10.0.0.1:8484, but it is off", false),
        ] {
            let nodes = Nodes { node: node.map(str::to_owned), reports_to, ..Nodes::default() };
            let (text, done) = as_node(&nodes);
            assert!(text.contains(want) && matches!(done, Done::Yes) == is_well, "{text}");
        }
    }
}
