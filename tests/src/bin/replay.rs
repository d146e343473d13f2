//! Plays a record of requests to the daemon and prints how many were answered by kept answers, and how many wrongly.

use std::process::ExitCode;

use airlane_tests::daemon::Setup;
use airlane_tests::fake::Fake;
use airlane_tests::replay::{Line, play};

const USAGE: &str = "cargo run -p airlane-tests --bin replay -- RECORD.jsonl [CONFIG.toml]

  RECORD.jsonl  one request a line: {\"label\": ..., \"body\": {...}, \"client\": ..., \"path\": ..., \"headers\": {...}};
                those with the same label may have the same answer, all others must not
  CONFIG.toml   lines of the config to try, such as [cache] and [[policy]]

The daemon under target/debug is played to, before an upstream that answers each request otherwise.
Ends with 1 if a kept answer was given to whom it must not be.";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(is_right) => ExitCode::from(u8::from(!is_right)),
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn run(paths: Vec<String>) -> Result<bool, String> {
    let read = |path: &String| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (record, config) = match paths.as_slice() {
        [record] if !record.starts_with('-') => (read(record)?, String::new()),
        [record, config] => (read(record)?, read(config)?),
        _ => return Err(USAGE.to_owned()),
    };
    let lines = Line::read_all(&record)?;
    let mut models: Vec<&str> = Vec::new();
    let bodies: Vec<serde_json::Value> =
        lines.iter().filter_map(|line| serde_json::from_slice(line.request.body.as_deref()?).ok()).collect();
    for model in bodies.iter().filter_map(|body| body["model"].as_str()) {
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let fake = Fake::with_models(&models);
    let mut daemon = Setup::new().fake("upstream", "openai", &fake).table(&config).start();
    if let Some(model) = models.first() {
        let request = airlane_tests::client::Request::get("/v1/models");
        let address = daemon.address();
        daemon.poll(model, || airlane_tests::client::send(address, &request).text().contains(model));
    }
    let report = play(&daemon, &fake, &lines);
    print!("{report}");
    Ok(report.false_hits.is_empty())
}
