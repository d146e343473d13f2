//! The official client libraries in front of the daemon: what they make of every surface and every failure.

use std::process::Command;

use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};
use airlane_tests::programs::{prepared, repository};

use crate::common::wait_model;

const SETUP: &str = "tests/setup";

/// Models of the fake; the name says how it answers.
const MODELS: [&str; 13] = [
    "text", "slow", "tools", "thinking", "floats", "cut", "event", "err-400", "err-401", "err-404", "err-429",
    "err-500", "err-503",
];

fn house(kind: &str) -> (Fake, Daemon) {
    let fake = Fake::with_models(&MODELS);
    fake.answer(Script::text("The quick brown fox jumps."));
    fake.answer_model("tools", Script::two_tools());
    fake.answer_model("thinking", Script { reasoning: vec!["Let me".into(), " think".into()], ..Script::default() });
    fake.answer_model("floats", Script { floats_only: true, ..Script::default() });
    fake.answer_model("cut", Script::cut(2, true));
    fake.answer_model("event", Script { error_after: Some(2), ..Script::default() });
    fake.answer_model("slow", Script { headers_after: std::time::Duration::from_secs(600), ..Script::default() });
    for status in [400, 401, 404, 429, 500, 503] {
        let retry_after_s = (status == 429).then_some(7);
        fake.answer_model(&format!("err-{status}"), Script::failing(status, retry_after_s, "scripted words"));
    }
    let daemon = Setup::new().fake("box", kind, &fake).start();
    wait_model(&daemon, "text");
    (fake, daemon)
}

fn run(program: &std::path::Path, script: &str, kind: &str) {
    let (_fake, daemon) = house(kind);
    let path = repository().join("tests/clients").join(script);
    let output = Command::new(program).arg(&path).arg(daemon.url()).arg(kind).output().expect("the client starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} on {kind} failed:\n{told}");
    assert!(told.lines().filter(|line| line.starts_with("ok ")).count() >= 5, "hardly anything was checked: {told}");
}

fn python(script: &str, kind: &str) {
    run(&prepared("target/client-venv/bin/python", SETUP), script, kind);
}

#[test]
fn openai_python() {
    for kind in ["openai", "anthropic", "ollama"] {
        python("openai_python.py", kind);
    }
}

#[test]
fn anthropic_python() {
    for kind in ["openai", "anthropic", "ollama"] {
        python("anthropic_python.py", kind);
    }
}

#[test]
fn ollama_python() {
    for kind in ["openai", "anthropic", "ollama"] {
        python("ollama_python.py", kind);
    }
}

#[test]
fn openai_node() {
    let _ = prepared("target/client-node/node_modules/openai", SETUP);
    for kind in ["openai", "anthropic", "ollama"] {
        run(std::path::Path::new("node"), "openai_node.mjs", kind);
    }
}
