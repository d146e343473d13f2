//! Routers and nodes that move, change, sleep and have more than a report holds; and what people are told meanwhile.

use std::io::Write as _;
use std::process::{Command, Stdio};

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Setup, airlane};
use airlane_tests::fake::Fake;
use airlane_tests::programs;
use serde_json::json;

use crate::common::{chat, eventually, models, wait_model};
use crate::nodes::{Pair, as_node, code, console, node, nodes, pair, row, wait_state};

#[test]
fn a_router_that_moves_is_followed_without_pairing_anew() {
    let (_fake, mut node) = node(Setup::new(), "far-1");
    let mut router = Setup::new().start();
    pair(&router, &node);
    wait_state(&router, "reporting");
    let before = router.address();
    router = router.kill_and_start(true);
    assert_ne!(router.address(), before);
    wait_state(&router, "reporting");
    assert_eq!(nodes(&node)["reports_to"]["address"], router.address().to_string());
    assert_eq!(router.send(&chat("far-1", false)).status(), 200);
    assert!(node.log().contains("the router has a new address"), "{}", node.log());
    // It is kept: the node finds the router after a restart of its own, too.
    node = node.kill_and_start(false);
    assert_eq!(nodes(&node)["reports_to"]["address"], router.address().to_string());
    wait_state(&router, "reporting");
}

#[test]
fn nobody_else_moves_a_node_away_from_its_router() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    pair(&router, &node);
    wait_state(&router, "reporting");
    // Somebody who has the pair's secret speaks first, to see what even a router may not do.
    let pair = Pair::of(&node, &router);
    let word = pair.router_word(node.address());
    let body = |address: &str| json!({ "address": address }).to_string().into_bytes();
    let here = body("127.0.0.1:1");
    let tell = |request: &Request| send(node.address(), request).status();
    let address = || nodes(&node)["reports_to"]["address"].clone();
    for (what, request, status) in [
        ("no proof", Request::raw("/airlane/v1/router", here.clone()), 401),
        ("another key", pair.moved(&word, 1, &here, &[7; 32]), 401),
        ("an unknown word", pair.moved("word", 1, &here, &pair.key), 401),
        ("a report's proof", pair.report_as("/airlane/v1/router", &word, 1, &here), 401),
        ("elsewhere", pair.moved(&word, 1, &body("127.0.0.9:80"), &pair.key), 400),
        ("outside", pair.moved(&word, 2, &body("8.8.8.8:80"), &pair.key), 400),
        ("no port", pair.moved(&word, 3, &body("127.0.0.1:0"), &pair.key), 400),
        ("no address", pair.moved(&word, 4, b"{}", &pair.key), 400),
        ("too large", pair.moved(&word, 5, &vec![b' '; 8 << 10], &pair.key), 413),
        ("where it is", pair.moved(&word, 6, &body(&router.address().to_string()), &pair.key), 204),
        ("seen before", pair.moved(&word, 6, &body(&router.address().to_string()), &pair.key), 401),
    ] {
        assert_eq!(tell(&request), status, "{what}");
        assert_eq!(address(), router.address().to_string(), "{what}");
    }
    let unknown = send(node.address(), &Request::get("/airlane/v1/router?router=somebody"));
    assert_eq!(unknown.status(), 401);
    // Followed once, and then not again for a while: each time is a write of a file.
    assert_eq!(tell(&pair.moved(&word, 7, &here, &pair.key)), 204);
    assert_eq!(address(), "127.0.0.1:1");
    let back = body(&router.address().to_string());
    assert_eq!(tell(&pair.moved(&word, 8, &back, &pair.key)), 429);
    // The router notices the silence and calls its node back.
    eventually("the node was called back", || address() == router.address().to_string());
    wait_state(&router, "reporting");
}

#[test]
fn a_list_that_changes_is_read_at_once_and_only_then() {
    let fake = Fake::with_models(&["far-1"]);
    let node = as_node(Setup::new(), "gpu-box").discovery("refresh_s = 1").fake("server", "openai", &fake).start();
    wait_model(&node, "far-1");
    let router = Setup::new().discovery("refresh_s = 86400").start();
    pair(&router, &node);
    wait_model(&router, "far-1");
    fake.set_models(&["far-1", "far-2"]);
    eventually("the new model is the router's", || models(&router) == ["far-1", "far-2"]);
    fake.set_models(&["far-2"]);
    eventually("the old one is gone", || models(&router) == ["far-2"]);
    assert_eq!(router.send(&chat("far-2", false)).status(), 200);
}

#[test]
fn what_a_report_does_not_hold_is_counted_and_works_all_the_same() {
    let names: Vec<String> = (0..200).map(|at| format!("far-{at:03}")).collect();
    let fake = Fake::with_models(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let node = as_node(Setup::new(), "gpu-box").fake("server", "openai", &fake).start();
    wait_model(&node, "far-199");
    let router = Setup::new().start();
    pair(&router, &node);
    wait_state(&router, "reporting");
    eventually("the count is told", || row(&router, "gpu-box")["notes"].to_string().contains("72 models more"));
    assert_eq!(row(&router, "gpu-box")["servers"][0]["models"].as_array().map(Vec::len), Some(128));
    let (_, out, err) = airlane(&["node", "list", "--url", &console(&router)]);
    assert!(out.contains("72 models more are not shown"), "{out}{err}");
    let page = send(router.console()[0], &Request::get("/")).text();
    assert!(page.contains("72 models more are not shown"), "{page}");
    wait_model(&router, "far-199");
    assert_eq!(router.send(&chat("far-199", false)).header("x-airlane-upstream"), Some("gpu-box"));
}

#[test]
fn a_code_is_asked_for_on_a_terminal() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    let (address, url) = (node.address().to_string(), console(&router));
    // Not on a terminal: said so, and nothing hangs.
    let (status, _, err) = airlane(&["node", "pair", &address, "--url", &url]);
    assert!(status != Some(0) && err.contains("the code is missing; `airlane node code` on"), "{err}");
    let command = format!("{} node pair {address} --url {url}", programs::airlane().display());
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script cannot be started: it is part of Debian's bsdutils");
    let mut keys = script.stdin.take().expect("its keyboard");
    writeln!(keys, " {} ", code(&node).replace('-', " ")).expect("typed");
    let output = script.wait_with_output().expect("its end");
    drop(keys);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains(&format!("code that {address} shows (`airlane node code` there): ")), "{shown}");
    assert!(shown.contains("gpu-box is paired"), "{shown}");
    wait_model(&router, "far-1");
}

#[test]
fn a_node_says_what_to_do_next() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    let status = |daemon| airlane(&["node", "status", "--url", &console(daemon)]);
    let (code, out, err) = status(&node);
    assert!(code == Some(3) && out.contains("gpu-box belongs to no router yet: `airlane node code`"), "{out}{err}");
    let (code, out, err) = status(&router);
    assert!(code == Some(3) && out.contains("is no node; start it with `airlane run --node`"), "{out}{err}");
    pair(&router, &node);
    wait_state(&router, "reporting");
    let (code, out, err) = status(&node);
    assert!(code == Some(0) && out.contains(&format!("at {}", router.address())), "{out}{err}");
}
