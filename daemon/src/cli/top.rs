//! `airlane top`: cards, upstreams and requests, once a second.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use anyhow::{Context, bail};
use domain::health::State;
use domain::reading::KV_FULL_PERCENT;
use domain::telemetry::Telemetry;
use serde::de::DeserializeOwned;
use webui::{Nodes, Overview, PlaceRow, Places, SiteRow};

use super::daemon::Daemon;
use super::plain::plain;
use super::status::{ago, gpus};
use super::{DaemonArgs, Done, node};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Another screen without a cursor, on which long lines are cut and not wrapped.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// Everything as it was.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// All that is shown.
struct Seen {
    overview: Overview,
    places: Places,
    telemetry: Telemetry,
    nodes: Nodes,
}

pub(super) async fn run(args: &DaemonArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    let first = look(&daemon).await?;
    let mut out = std::io::stdout();
    if !out.is_terminal() {
        print!("{}", plain(&text(&first)));
        return Ok(Done::Yes);
    }
    write!(out, "{ENTER}")?;
    let shown = tokio::select! {
        shown = keep_showing(&daemon, first) => shown,
        ended = tokio::signal::ctrl_c() => ended.context("cannot listen for Ctrl-C"),
    };
    write!(out, "{LEAVE}")?;
    out.flush()?;
    shown.map(|()| Done::Yes)
}

async fn look(daemon: &Daemon) -> anyhow::Result<Seen> {
    Ok(Seen {
        overview: get(daemon, "/api/v1/status").await?,
        places: get(daemon, "/api/v1/places").await?,
        telemetry: get(daemon, "/api/v1/telemetry").await?,
        nodes: get(daemon, "/api/v1/nodes").await?,
    })
}

async fn get<T: DeserializeOwned>(daemon: &Daemon, path: &str) -> anyhow::Result<T> {
    let Some(body) = daemon.console(path).await? else {
        daemon.get("/readyz").await?;
        bail!("airlane at {} shows itself on its own machine only; run `airlane top` there", daemon.url());
    };
    serde_json::from_slice(&body).context("what answers there is no airlane of this version")
}

/// Shows it until somebody leaves or the daemon is gone.
async fn keep_showing(daemon: &Daemon, first: Seen) -> anyhow::Result<()> {
    let mut seen = first;
    loop {
        let mut out = std::io::stdout().lock();
        write!(out, "{}", screen(&plain(&text(&seen)), rows()))?;
        out.flush()?;
        drop(out);
        tokio::time::sleep(EVERY).await;
        seen = look(daemon).await?;
    }
}

/// Rows of the terminal.
fn rows() -> usize {
    const USUAL: usize = 24;
    // Some terminals, like those of scripts, have no size and say zero.
    let told = rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| usize::from(size.ws_row));
    told.ok().filter(|rows| *rows > 0).unwrap_or(USUAL)
}

/// What overwrites the screen with a text, without flicker; what does not fit is left out.
fn screen(text: &str, rows: usize) -> String {
    let lines: Vec<String> = text.lines().take(rows).map(|line| format!("{line}\x1b[K")).collect();
    format!("\x1b[H{}\x1b[J", lines.join("\r\n"))
}

fn text(seen: &Seen) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write_text(&mut out, seen);
    out
}

fn write_text(out: &mut String, seen: &Seen) -> std::fmt::Result {
    let Seen { overview, places, telemetry, nodes } = seen;
    writeln!(out, "airlane {}, up {}", overview.version, ago(overview.uptime))?;
    writeln!(out, "requests  {} in flight, {} waiting", places.running, places.waiting)?;
    gpus::write(out, &telemetry.gpus)?;
    node::write(out, nodes)?;
    let names = places.upstreams.iter().flat_map(|site| &site.models).map(|place| place.model.chars().count());
    let width = names.max().unwrap_or(0).clamp(5, 40);
    for site in &places.upstreams {
        write_site(out, site, width)?;
    }
    Ok(())
}

fn write_site(out: &mut String, site: &SiteRow, width: usize) -> std::fmt::Result {
    let health = match (site.health.state, site.health.sentence()) {
        (State::Unknown, _) => State::Unknown.clause().to_owned(),
        (_, sentence) => sentence.unwrap_or_else(|| site.health.word()),
    };
    let pressed = Some(site.pressure_percent).filter(|percent| *percent > 0);
    let pressed = pressed.map(|percent| format!("; its GPU is {percent} % busy for others")).unwrap_or_default();
    let hot = if site.throttled { "; its GPU slows down because of heat" } else { "" };
    let kind = site.engine.as_deref().unwrap_or(&site.kind);
    writeln!(out, "\n{} ({kind}): {health}{pressed}{hot}", site.name)?;
    if let Some(gpus) = &site.gpus {
        gpus::write(out, gpus)?;
    }
    let (shown, rest): (Vec<_>, Vec<_>) = site.models.iter().partition(|place| is_told(place));
    if !shown.is_empty() {
        let head = ["running", "waiting", "reads/s", "writes/s", "served"];
        let [running, waiting, reads, writes, served] = head;
        writeln!(out, "  {:width$} {running:>9} {waiting:>12} {reads:>9} {writes:>9} {served:>8}", "model")?;
    }
    for place in &shown {
        write_place(out, place, width)?;
    }
    match rest.len() {
        0 => Ok(()),
        1 => writeln!(out, "  1 model without a request so far"),
        many => writeln!(out, "  {many} models without a request so far"),
    }
}

fn write_place(out: &mut String, place: &PlaceRow, width: usize) -> std::fmt::Result {
    let model: String = place.model.chars().take(width).collect();
    let running =
        place.slots.map_or_else(|| place.running.to_string(), |slots| format!("{} of {slots}", place.running));
    let waiting = match place.waiting {
        0 => "0".to_owned(),
        waiting => format!("{waiting} ({:.0} s)", place.waiting_s),
    };
    let speed = |per_s: Option<f64>| per_s.map_or_else(|| "-".to_owned(), |per_s| format!("{per_s:.1}"));
    let (reads, writes) = (speed(place.prefill_tokens_per_s), speed(place.decode_tokens_per_s));
    let served = place.served;
    write!(out, "  {model:width$} {running:>9} {waiting:>12} {reads:>9} {writes:>9} {served:>8}")?;
    for remark in remarks(place) {
        write!(out, "  {remark}")?;
    }
    writeln!(out)
}

/// What else there is to say of a place.
fn remarks(place: &PlaceRow) -> Vec<String> {
    let others = match (place.others_running, place.others_waiting) {
        (0, 0) => None,
        (running, 0) => Some(format!("{running} of others")),
        (running, waiting) => Some(format!("{running} of others, {waiting} more wait there")),
    };
    let full = place.kv_used_percent.filter(|percent| *percent >= KV_FULL_PERCENT);
    let parts = [
        others,
        full.map(|percent| format!("its cache is {percent} % full")),
        place.on_cpu_percent.filter(|percent| *percent > 0).map(|percent| format!("{percent} % of it beside the card")),
        place.health.sentence(),
    ];
    parts.into_iter().flatten().collect()
}

/// Whether there is anything to tell of a place.
const fn is_told(place: &PlaceRow) -> bool {
    let others = place.others_running.saturating_add(place.others_waiting);
    place.served > 0 || others > 0 || place.waiting > 0 || !place.health.state.is_well()
}

#[cfg(test)]
mod tests {
    use super::*;
    use webui::HealthRow;

    fn seen() -> Seen {
        let well = HealthRow { state: State::Healthy, ..HealthRow::default() };
        let gone = HealthRow {
            state: State::Offline,
            cause: Some("connection refused".to_owned()),
            trial_in_s: Some(3),
            wakes_in_s: None,
            model: None,
            ignores_cancel: true,
        };
        let measured = PlaceRow {
            model: "qwen3-8b".to_owned(),
            health: well.clone(),
            slots: Some(4),
            running: 4,
            waiting: 2,
            waiting_s: 7.4,
            served: 1_234,
            prefill_tokens_per_s: Some(2_310.4),
            decode_tokens_per_s: Some(61.2),
            resident: Some(true),
            others_running: 2,
            others_waiting: 1,
            kv_used_percent: Some(97),
            on_cpu_percent: Some(40),
            loading_s: None,
        };
        let fresh = PlaceRow { model: "phi".to_owned(), running: 1, served: 1, ..PlaceRow::default() };
        let unused = PlaceRow { model: "unused".to_owned(), ..PlaceRow::default() };
        let site = |name: &str, health, models| SiteRow {
            name: name.to_owned(),
            kind: "openai".to_owned(),
            health,
            models,
            ..SiteRow::default()
        };
        let mut gpu_box = site("gpu-box", well, vec![fresh, measured, unused]);
        gpu_box.pressure_percent = 40;
        gpu_box.throttled = true;
        gpu_box.engine = Some("llama.cpp".to_owned());
        Seen {
            nodes: Nodes::default(),
            overview: Overview {
                version: "1.2.3".to_owned(),
                uptime: Duration::from_secs(3_700),
                ..Overview::default()
            },
            places: Places {
                running: 5,
                waiting: 2,
                upstreams: vec![
                    gpu_box,
                    site("attic", gone, Vec::new()),
                    SiteRow { name: "echo".to_owned(), ..SiteRow::default() },
                ],
            },
            telemetry: Telemetry::default(),
        }
    }

    #[test]
    fn everything_has_its_line() {
        insta::assert_snapshot!(text(&seen()), @r"
        airlane 1.2.3, up 1 h 1 min
        requests  5 in flight, 2 waiting
        gpus      The NVIDIA driver is being asked.

        gpu-box (llama.cpp): healthy; its GPU is 40 % busy for others; its GPU slows down because of heat
          model      running      waiting   reads/s  writes/s   served
          phi              1            0         -         -        1
          qwen3-8b    4 of 4      2 (7 s)    2310.4      61.2     1234  2 of others, 1 more wait there  its cache is 97 % full  40 % of it beside the card
          1 model without a request so far

        attic (openai): offline: cannot be reached (connection refused); tried again in 3 s; does not stop cancelled work: its slots stay taken until that ends

        echo (): has not been asked for an answer yet
        ");
    }

    #[test]
    fn a_screen_is_never_overfull() {
        let shown = screen("a\nb\nc\n", 2);
        assert_eq!(shown, "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
        assert!(!shown.ends_with('\n'), "a last line feed would scroll");
    }
}
