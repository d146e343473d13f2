//! `airlane cache`: what answers are kept, and throwing them away.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use domain::cache::{Listed, Place, Purge, Purged, Questioned, Stats};
use serde::Serialize;
use webui::{CacheEntries, WrongAnswer};

use super::daemon::Daemon;
use super::plain::plain;
use super::{DaemonArgs, Done};

#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how many answers are kept, what they take, and how the database does
    Stats,
    /// List the newest kept answers: who asked which model, and how the conversation begins
    List {
        #[command(flatten)]
        which: Which,
        /// So many at most
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        limit: usize,
    },
    /// Throw kept answers away: those for which every condition holds
    Purge {
        #[command(flatten)]
        which: Which,
        /// Every kept answer
        #[arg(long)]
        all: bool,
    },
    /// Say that a kept answer was wrong that was given to a question in other words: it is not given to it again
    Wrong {
        /// The request's name, from its answer's header x-request-id
        #[arg(value_name = "REQUEST")]
        request: String,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// Of this tenant, as `airlane cache stats` names it
    #[arg(long)]
    tenant: Option<String>,
    /// Asked for under this name, or answered by this model
    #[arg(short, long)]
    model: Option<String>,
    /// Kept longer ago than this, in seconds
    #[arg(long, value_name = "SECONDS")]
    older_than: Option<u64>,
    /// Of conversations that begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// The one whose name begins so, as `airlane cache list` shows it
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
}

impl Which {
    fn purge(self, all: bool) -> Purge {
        let Self { tenant, model, older_than, prefix, entry } = self;
        Purge { all, tenant, model, older_than_s: older_than, prefix, entry }
    }
}

/// The query of a list.
#[derive(Serialize)]
struct Query {
    tenant: Option<String>,
    model: Option<String>,
    older_than_s: Option<u64>,
    prefix: Option<String>,
    entry: Option<String>,
    limit: usize,
}

pub(super) async fn run(args: &DaemonArgs, cache: CacheArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    match cache.action {
        Action::Stats => {
            let stats: Stats = daemon.read("/api/v1/cache", ELSEWHERE).await?;
            print!("{}", plain(&stats_text(&stats)));
            Ok(Done::Yes)
        }
        Action::List { which, limit } => {
            let Which { tenant, model, older_than, prefix, entry } = which;
            let query = Query { tenant, model, older_than_s: older_than, prefix, entry, limit };
            let path = format!("/api/v1/cache/entries?{}", serde_urlencoded::to_string(query)?);
            let listed: CacheEntries = daemon.read(&path, ELSEWHERE).await?;
            if listed.entries.is_empty() {
                println!("no such answer is kept");
                return Ok(Done::NothingThere);
            }
            print!("{}", plain(&list_text(&listed.entries)));
            Ok(Done::Yes)
        }
        Action::Purge { which, all } => {
            let purge = which.purge(all);
            purge.check().map_err(anyhow::Error::msg)?;
            let purged: Purged = daemon.wish("/api/v1/cache/purge", &purge, ELSEWHERE).await?;
            println!("{} thrown away, {}", answers(purged.entries), size(purged.bytes));
            Ok(Done::Yes)
        }
        Action::Wrong { request } => {
            let wrong = WrongAnswer { request_id: request };
            let _: WrongAnswer = daemon.wish("/api/v1/cache/wrong", &wrong, ELSEWHERE).await?;
            println!("taken apart: the two questions do not share an answer any more");
            Ok(Done::Yes)
        }
    }
}

/// Why there is nothing to ask.
const ELSEWHERE: &str = "kept answers are shown on airlane's own machine only; run it there";

fn stats_text(stats: &Stats) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write_stats(&mut out, stats);
    out
}

fn write_stats(out: &mut String, stats: &Stats) -> std::fmt::Result {
    let place =
        |place: &Place| format!("{}, {} of {}", answers(place.entries), size(place.bytes), size(place.bytes_max));
    writeln!(out, "memory    {}", place(&stats.memory))?;
    writeln!(out, "database  {}", place(&stats.database))?;
    writeln!(
        out,
        "written   {} since the start, {} could not be; {} made room for others",
        stats.written, stats.unwritten, stats.evicted
    )?;
    for share in &stats.tenants {
        writeln!(out, "tenant    {}: {}", share.tenant, size(share.bytes))?;
    }
    write_questions(out, &stats.questions)?;
    for trouble in [&stats.trouble, &stats.questions.trouble].into_iter().filter(|trouble| !trouble.is_empty()) {
        writeln!(out, "trouble   {trouble}")?;
    }
    Ok(())
}

/// Of questions in other words, where any were looked for.
fn write_questions(out: &mut String, questions: &Questioned) -> std::fmt::Result {
    let Some(hits) = questions.hit_rate() else { return Ok(()) };
    let Questioned { looked, given, judged_same, judged_other, unjudged, .. } = questions;
    writeln!(out, "semantic  {given} of {looked} questions got a kept answer ({:.1} %)", 100.0 * hits)?;
    let measured = match questions.wrong_rate().zip(questions.wrong_rate_below()) {
        None => "not measured yet".to_owned(),
        Some((wrong, below)) => format!(
            "{} of {} that were asked anew, {} unclear ({:.2} %; below {:.2} % with 95 % certainty)",
            questions.audited_wrong,
            questions.audited,
            questions.audited_unclear,
            100.0 * wrong,
            100.0 * below
        ),
    };
    writeln!(out, "wrong     {measured}; {} were said to be wrong", questions.said_wrong)?;
    writeln!(
        out,
        "judged    {judged_same} as good as a new answer, {judged_other} not; {unjudged} could not be compared"
    )
}

/// Digits of an entry's name that are shown: enough to purge it by.
const DIGITS: usize = 12;

fn list_text(listed: &[Listed]) -> String {
    let mut out = String::new();
    for entry in listed {
        let name = entry.name.get(..DIGITS).unwrap_or(&entry.name);
        // One line each, whatever the conversation begins with.
        let head = entry.head.replace(char::is_whitespace, " ");
        let (age, size) = (age(entry.age_s), size(entry.bytes));
        let _ = writeln!(out, "{name}  {age:>7}  {size:>9}  {} for {}: {head}", entry.model, entry.scope);
    }
    out
}

fn answers(count: u64) -> String {
    if count == 1 { "1 answer".to_owned() } else { format!("{count} answers") }
}

/// In the units that people use.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::cache::Share;

    #[test]
    fn stats_are_told_in_units_that_people_use() {
        let stats = Stats {
            trouble: "kept answers are in memory only".to_owned(),
            memory: Place { entries: 1, bytes: 512, bytes_max: 32 << 20 },
            database: Place { entries: 2_000, bytes: 3 << 19, bytes_max: 512 << 20 },
            tenants: vec![Share { tenant: "10.0.0.7".to_owned(), bytes: 2_048 }],
            written: 7,
            unwritten: 6,
            evicted: 5,
            questions: Questioned {
                looked: 1_000,
                given: 250,
                audited: 400,
                audited_wrong: 2,
                said_wrong: 1,
                judged_same: 500,
                judged_other: 30,
                unjudged: 4,
                trouble: "no table".to_owned(),
                ..Questioned::default()
            },
        };
        let want = "memory    1 answer, 512 B of 32.0 MiB\n\
                    database  2000 answers, 1.5 MiB of 512.0 MiB\n\
                    written   7 since the start, 6 could not be; 5 made room for others\n\
                    tenant    10.0.0.7: 2.0 KiB\n\
                    semantic  250 of 1000 questions got a kept answer (25.0 %)\n\
                    wrong     2 of 400 that were asked anew, 0 unclear (0.50 %; below 1.50 % with 95 % certainty); 1 were said to be wrong\n\
                    judged    500 as good as a new answer, 30 not; 4 could not be compared\n\
                    trouble   kept answers are in memory only\n\
                    trouble   no table\n";
        assert_eq!(stats_text(&stats), want);
    }

    #[test]
    fn each_entry_is_one_line() {
        let entry = |head: &str, age_s| Listed {
            name: "a7".repeat(32),
            scope: "tenant:10.0.0.7".to_owned(),
            model: "fast".to_owned(),
            tenant: "10.0.0.7".to_owned(),
            head: head.to_owned(),
            age_s,
            bytes: 2_000,
        };
        let text = plain(&list_text(&[entry("Dear\nSir", 90), entry("\u{1b}[2J", 90_000)]));
        let want = "a7a7a7a7a7a7     90 s    2.0 KiB  fast for tenant:10.0.0.7: Dear Sir\n\
                    a7a7a7a7a7a7     25 h    2.0 KiB  fast for tenant:10.0.0.7: \u{fffd}[2J\n";
        assert_eq!(text, want);
    }
}
