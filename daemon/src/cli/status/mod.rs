//! `airlane status`: how the running airlane does.

pub(super) mod gpus;

use std::fmt::Write;
use std::time::Duration;

use anyhow::Context;
use domain::telemetry::Telemetry;
use webui::{Overview, UpstreamState};

use super::daemon::Daemon;
use super::plain::plain;
use super::{DaemonArgs, Done, node};

pub(super) async fn run(args: &DaemonArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    let Some(body) = daemon.console("/api/v1/status").await? else {
        daemon.get("/readyz").await?;
        println!("airlane at {} is ready; run `airlane status` on its own machine for the rest", daemon.url());
        return Ok(Done::Yes);
    };
    let overview: Overview =
        serde_json::from_slice(&body).context("what answers there is no airlane of this version")?;
    print!("{}", plain(&text(&overview)));
    if let Some(body) = daemon.console("/api/v1/telemetry").await? {
        let telemetry: Telemetry =
            serde_json::from_slice(&body).context("what answers there is no airlane of this version")?;
        let mut out = String::new();
        // Writing into a String does not fail.
        let _ = gpus::write(&mut out, &telemetry.gpus);
        if let Some(nodes) = node::nodes(&daemon).await? {
            let _ = node::write(&mut out, &nodes);
        }
        print!("{}", plain(&out));
    }
    Ok(Done::Yes)
}

fn text(overview: &Overview) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write_text(&mut out, overview);
    out
}

fn write_text(out: &mut String, overview: &Overview) -> std::fmt::Result {
    writeln!(out, "airlane {}, up {}", overview.version, ago(overview.uptime))?;
    writeln!(out, "endpoint  {}", overview.base_urls.join("  "))?;
    writeln!(out, "requests  {} in flight, {} waiting", overview.in_flight, overview.waiting)?;
    writeln!(out, "models    {} (`airlane models` lists them)", overview.models.len())?;
    writeln!(out, "config    revision {}", overview.revision)?;
    if let Some(problem) = &overview.config_problem {
        writeln!(out, "          the file as it stands was not taken over:")?;
        problem.lines().try_for_each(|line| writeln!(out, "          {line}"))?;
    }
    if !overview.restart_needed.is_empty() {
        writeln!(out, "          waits for a restart: {}", overview.restart_needed.join(", "))?;
    }
    if overview.upstreams.is_empty() {
        writeln!(out, "upstreams none; `airlane check` says what to do")?;
    }
    let width = overview.upstreams.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    for (position, row) in overview.upstreams.iter().enumerate() {
        let head = if position == 0 { "upstreams" } else { "" };
        let models = match &row.state {
            UpstreamState::Asking => "is being asked".to_owned(),
            UpstreamState::Answers { models: 1 } => "answers, 1 model".to_owned(),
            UpstreamState::Answers { models } => format!("answers, {models} models"),
            UpstreamState::Silent { reason } => format!("does not answer: {reason}"),
        };
        // Health knows more than whether its models could be listed, unless it is about one of them only.
        let state = match row.health.sentence() {
            Some(health) if row.health.model.is_none() => health,
            Some(health) => format!("{models}; {health}"),
            None => models,
        };
        writeln!(out, "{head:9} {:width$}  {} ({}): {state}", row.name, row.where_, row.kind)?;
    }
    Ok(())
}

/// A span in its two largest units.
pub(super) fn ago(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::health::State;
    use webui::{HealthRow, UpstreamRow};

    #[test]
    fn what_is_ill_is_said() {
        let row = |name: &str, state| UpstreamRow {
            name: name.to_owned(),
            kind: "openai".to_owned(),
            where_: "http://x:1".to_owned(),
            state,
            health: HealthRow::default(),
        };
        let ill = |state, model: Option<&str>| HealthRow {
            state,
            cause: Some("slow down".to_owned()),
            trial_in_s: Some(9),
            wakes_in_s: None,
            model: model.map(str::to_owned),
            ignores_cancel: false,
        };
        let overview = Overview {
            version: "1.2.3".to_owned(),
            uptime: Duration::from_secs(3_700),
            base_urls: vec!["http://10.0.0.1:8484".to_owned()],
            revision: 2,
            config_problem: Some("f:1: a: b".to_owned()),
            restart_needed: vec!["data.dir".to_owned()],
            upstreams: vec![
                row("gpu", UpstreamState::Answers { models: 3 }),
                row("cloud-1", UpstreamState::Silent { reason: "no route".to_owned() }),
                UpstreamRow {
                    health: ill(State::RateLimited, Some("m")),
                    ..row("cloud-2", UpstreamState::Answers { models: 2 })
                },
                UpstreamRow { health: ill(State::Busy, None), ..row("cloud-3", UpstreamState::Answers { models: 2 }) },
            ],
            ..Overview::default()
        };
        insta::assert_snapshot!(text(&overview), @r"
        airlane 1.2.3, up 1 h 1 min
        endpoint  http://10.0.0.1:8484
        requests  0 in flight, 0 waiting
        models    0 (`airlane models` lists them)
        config    revision 2
                  the file as it stands was not taken over:
                  f:1: a: b
                  waits for a restart: data.dir
        upstreams gpu      http://x:1 (openai): answers, 3 models
                  cloud-1  http://x:1 (openai): does not answer: no route
                  cloud-2  http://x:1 (openai): answers, 2 models; rate limited: its model m wants to be left alone for a while (slow down); tried again in 9 s
                  cloud-3  http://x:1 (openai): busy: has no room at the moment (slow down); tried again in 9 s
        ");
    }
}
