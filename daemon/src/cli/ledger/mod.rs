//! `airlane ledger`: who asked what, what it cost, and statements of it.

mod file;
mod text;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use domain::date::Day;
use domain::ledger::{Format, Stats};
use serde::Serialize;
use webui::{LedgerPage, LedgerSummary, RepriceWish, Repriced};

use super::daemon::Daemon;
use super::plain::plain;
use super::{DaemonArgs, Done};
use text::Shown;

/// Why there is nothing to ask.
const ELSEWHERE: &str = "the ledger is shown on airlane's own machine only; run it there";

#[derive(Debug, Args)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how the ledger does: what is written, what waits, what is lost
    Stats,
    /// List the newest requests: who asked which model, what became of it, and what it cost
    List {
        #[command(flatten)]
        which: Which,
        /// So many at most
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        limit: usize,
        /// Go on after the request of this name, with older ones
        #[arg(long, value_name = "NAME")]
        after: Option<String>,
    },
    /// Show what a day or a month adds up to, by tenant, model and upstream; this month unless given
    Summary {
        /// A day in UTC, like 2026-11-28
        #[arg(long, conflicts_with = "month")]
        day: Option<String>,
        /// A month, like 2026-11
        #[arg(long)]
        month: Option<String>,
        /// Only what this tenant pays
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Write what a tenant used in a month, and what it cost; this month unless given
    Statement {
        /// Who pays
        tenant: String,
        /// A month, like 2026-11
        #[arg(long)]
        month: Option<String>,
    },
    /// Reckon anew what requests cost, by the prices that hold now; what they cost before stays beside it
    Reprice {
        /// Of this tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Asked for under this name, or answered by this model
        #[arg(short, long)]
        model: Option<String>,
        /// That went to this upstream
        #[arg(long)]
        upstream: Option<String>,
        /// From this moment on: a day in UTC like 2026-11-28, or a time like 2026-11-28T07:00:00Z
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Before this moment, in the same forms
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
    },
    /// Write requests for other programs, the newest first: all, or those for which every condition holds
    Export {
        #[command(flatten)]
        which: Which,
        /// A table for spreadsheets, or a JSON object a line
        #[arg(long, value_enum, default_value = "csv")]
        format: Kind,
        /// Into this file instead of standard output; it is there when the export is complete, and not before
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Csv,
    Jsonl,
}

#[derive(Debug, Args)]
struct Which {
    /// Of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Asked for under this name, or answered by this model
    #[arg(short, long)]
    model: Option<String>,
    /// That went to this upstream
    #[arg(long)]
    upstream: Option<String>,
    /// That ended so: ok, cancelled, or the kind of the failure
    #[arg(long)]
    outcome: Option<String>,
    /// From this moment on: a day in UTC like 2026-11-28, or a time like 2026-11-28T07:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this moment, in the same forms
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

/// The query of a list, a summary or an export: what is `None` is not in it.
#[derive(Default, Serialize)]
struct Query {
    format: Option<Format>,
    tenant: Option<String>,
    model: Option<String>,
    upstream: Option<String>,
    outcome: Option<String>,
    from: Option<String>,
    to: Option<String>,
    day: Option<String>,
    month: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

impl Query {
    fn of(which: Which) -> Self {
        let Which { tenant, model, upstream, outcome, from, to } = which;
        Self { tenant, model, upstream, outcome, from, to, ..Self::default() }
    }

    fn path(&self, name: &str) -> anyhow::Result<String> {
        Ok(format!("/api/v1/ledger/{name}?{}", serde_urlencoded::to_string(self)?))
    }
}

pub(super) async fn run(args: &DaemonArgs, ledger: LedgerArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    match ledger.action {
        Action::Stats => {
            let stats: Stats = daemon.read("/api/v1/ledger", ELSEWHERE).await?;
            print!("{}", plain(&text::stats(&stats)));
            Ok(Done::Yes)
        }
        Action::Reprice { tenant, model, upstream, from, to } => {
            let wish = RepriceWish { tenant, model, upstream, from, to };
            let done: Repriced = daemon.wish("/api/v1/ledger/reprice", &wish, ELSEWHERE).await?;
            println!("{} of {} requests cost something else now", done.changed, done.looked);
            Ok(Done::Yes)
        }
        Action::List { which, limit, after } => list(&daemon, Query { after, ..Query::of(which) }, limit).await,
        Action::Summary { day, month, tenant } => {
            let month = month.or_else(|| day.is_none().then(this_month));
            let query = Query { day, month, tenant, ..Query::default() };
            let summary: LedgerSummary = daemon.read(&query.path("summary")?, ELSEWHERE).await?;
            Ok(told(&summary, &text::summary(&summary)))
        }
        Action::Statement { tenant, month } => {
            let month = month.unwrap_or_else(this_month);
            let query = Query { month: Some(month), tenant: Some(tenant.clone()), ..Query::default() };
            let summary: LedgerSummary = daemon.read(&query.path("summary")?, ELSEWHERE).await?;
            Ok(told(&summary, &text::statement(&tenant, &summary)))
        }
        Action::Export { which, format, out } => {
            let format = Some(match format {
                Kind::Csv => Format::Csv,
                Kind::Jsonl => Format::JsonL,
            });
            let path = Query { format, ..Query::of(which) }.path("export")?;
            file::export(daemon.console_stream(&path, ELSEWHERE).await?, out.as_deref()).await?;
            Ok(Done::Yes)
        }
    }
}

/// Prints a text about requests, if there were any.
fn told(summary: &LedgerSummary, text: &str) -> Done {
    print!("{}", plain(text));
    if summary.total.requests == 0 { Done::NothingThere } else { Done::Yes }
}

/// Lists so many requests, from as many pages as it takes: one may be nearly empty and yet not be the last.
async fn list(daemon: &Daemon, mut query: Query, limit: usize) -> anyhow::Result<Done> {
    let mut shown: Vec<Shown> = Vec::new();
    while shown.len() < limit {
        query.limit = Some(limit - shown.len());
        let page: LedgerPage = daemon.read(&query.path("entries")?, ELSEWHERE).await?;
        for entry in page.entries {
            shown.push(serde_json::from_value(entry)?);
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    if shown.is_empty() {
        println!("no such request is in the ledger");
        return Ok(Done::NothingThere);
    }
    print!("{}", plain(&text::list(&shown)));
    if let Some(after) = &query.after {
        eprintln!("{}", plain(&format!("older ones: the same with --after {after}")));
    }
    Ok(Done::Yes)
}

/// The month in UTC, like `2026-11`.
fn this_month() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let today = Day::of_unix_ms(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)).to_string();
    today.rsplit_once('-').map_or_else(String::new, |(month, _)| month.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_asked_for() {
        let query = Query {
            format: Some(Format::JsonL),
            tenant: Some("a&b".to_owned()),
            from: Some("2026-11-28T08:00:00+01:00".to_owned()),
            limit: Some(3),
            ..Query::default()
        };
        let want = "/api/v1/ledger/x?format=jsonl&tenant=a%26b&from=2026-11-28T08%3A00%3A00%2B01%3A00&limit=3";
        assert_eq!(query.path("x").unwrap(), want);
    }

    #[test]
    fn this_month_is_one() {
        assert!(domain::date::month(&this_month()).is_ok(), "{}", this_month());
    }
}
