//! The ledger with ten million entries of one day: what one takes, and how long its pages, sums and statements take.
//!
//! `cargo bench -p airlane-tests --bench ledger [-- --quick]` prints a table and writes `target/bench/ledger.json`. It measures
//! the daemon's own room, without the network around it.

#[allow(dead_code, unused_imports, unreachable_pub, clippy::allow_attributes, reason = "the daemon uses more of it")]
#[path = "../../../daemon/src/edges.rs"]
mod edges;
#[allow(dead_code, unused_imports, unreachable_pub, clippy::allow_attributes, reason = "the daemon uses more of it")]
#[path = "../../../daemon/src/ledger/mod.rs"]
mod ledger;
#[allow(dead_code, unused_imports, unreachable_pub, clippy::allow_attributes, reason = "the daemon uses more of it")]
#[path = "../../../daemon/src/sqlite/mod.rs"]
mod sqlite;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::date::Day;
use domain::ledger::{Entry, EntryId, Filter, Settings};
use domain::price::{Prices, Table};
use domain::usage::Usage;
use serde_json::{Map, Value, json};

use domain::ledger::Format;
use edges::Clock;
use ledger::{Export, Ledger};

const USAGE: &str = "cargo bench -p airlane-tests --bench ledger -- [--quick] [--entries N] [--tenants N] [--dir DIR]

  --quick       a hundred thousand entries: is everything in its place?
  --entries N   entries, all of one day (default 10000000)
  --tenants N   tenants that take turns (default 200)
  --dir DIR     where the file is made (default: a temporary folder)";

/// The day of all entries.
const DAY: Day = Day(20_785);

struct Arguments {
    entries: u64,
    tenants: u64,
    dir: Option<PathBuf>,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut found = Arguments { entries: 10_000_000, tenants: 200, dir: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |value: String| value.parse::<u64>().map_err(|_| format!("{word} needs a number"));
        match word.as_str() {
            "--quick" => found.entries = 100_000,
            "--entries" => found.entries = number(value()?)?.max(1_000),
            "--tenants" => found.tenants = number(value()?)?.max(1),
            "--dir" => found.dir = Some(value()?.into()),
            // Cargo adds it.
            "--bench" => {}
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    let measured = arguments(std::env::args().skip(1)).and_then(|arguments| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(measure(&arguments))
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Every entry comes a little later than the one before, so that they spread over the day.
struct Spread {
    step_us: u64,
    told: AtomicU64,
}

impl Clock for Spread {
    fn unix_ms(&self) -> u64 {
        DAY.begin_ms() + self.told.load(Ordering::Relaxed) * self.step_us / 1_000
    }

    fn unique(&self) -> String {
        "x".repeat(24)
    }
}

async fn measure(arguments: &Arguments) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let temporary = tempfile::tempdir().map_err(text)?;
    let dir = arguments.dir.as_deref().unwrap_or(temporary.path());
    let clock = Arc::new(Spread { step_us: 86_000_000_000 / arguments.entries, told: AtomicU64::new(0) });
    let mut report = Map::new();
    let mut tell = |what: &str, unit: &str, value: f64| {
        println!("{what:32} {value:12.3} {unit}");
        report.insert(format!("{} {unit}", what.trim_end()), json!(value));
    };
    let began = Instant::now();
    let full = begin(dir, &clock);
    let cpu = fill(&full, &clock, arguments)?;
    full.close(Duration::from_secs(600)).await;
    let filled = began.elapsed();
    let (file, entries) = (dir.join("ledger.db"), arguments.entries as f64);
    let bytes = std::fs::metadata(&file).map_err(text)?.len() as f64;
    tell("entries", "", entries);
    tell("written", "entries a second", entries / filled.as_secs_f64());
    tell("append()", "ns", cpu.as_nanos() as f64 / entries);
    tell("file", "MiB", bytes / 1_048_576.0);
    tell("an entry", "bytes", bytes / entries);
    forget(&file).map_err(text)?;
    let began = Instant::now();
    let full = begin(dir, &clock);
    full.flush().await;
    newest(&full, &Filter::default())?;
    tell("cold start to the first page", "ms", millis(began.elapsed()));
    for (what, value) in [
        ("newest page, 100 entries", time(101, || newest(&full, &Filter::default()))?),
        ("a page in the middle", time(101, || middle(&full))?),
        ("a tenant's newest page", time(21, || newest(&full, &of_tenant("tenant-7")))?),
        ("a tenant that is not there", time(5, || newest(&full, &of_tenant("nobody")))?),
        ("the day's summary", time(21, || full.sums(&(DAY..=DAY), None).map(drop))?),
        ("a tenant's statement", time(21, || full.sums(&(DAY..=DAY), Some("tenant-7")).map(drop))?),
        ("spent since the day began", time(21, || full.spent_since(DAY.begin_ms()).map(drop))?),
        ("spent since noon", time(3, || full.spent_since(DAY.begin_ms() + 43_200_000).map(drop))?),
    ] {
        tell(what, "ms", millis(value));
    }
    let exported =
        Export::new(full.clone(), Filter::default(), Format::Csv).take(200).collect::<Result<Vec<_>, _>>()?;
    let rows: usize = exported.iter().map(|piece| piece.lines().count()).sum();
    let began = Instant::now();
    Export::new(full.clone(), Filter::default(), Format::Csv).take(200).try_for_each(|piece| piece.map(drop))?;
    tell("export as CSV", "entries a second", rows as f64 / began.elapsed().as_secs_f64());
    let reckoned = reckon_anew(full.clone(), arguments.entries).await?;
    tell("reckoned anew", "entries a second", reckoned);
    full.close(Duration::from_secs(600)).await;
    let path = airlane_tests::programs::repository().join("target/bench");
    std::fs::create_dir_all(&path).map_err(text)?;
    std::fs::write(path.join("ledger.json"), format!("{:#}\n", Value::Object(report))).map_err(text)
}

/// Reckons the last hundredth of the day anew; gives entries a second.
async fn reckon_anew(full: Arc<Ledger>, entries: u64) -> Result<f64, String> {
    let reckoned = tokio::task::spawn_blocking(move || {
        let dear = Prices::from_line("input 5 output 50 | bench | ").map(Arc::new);
        let filter = Filter { from_ms: Some(DAY.begin_ms() + 86_000_000 / 100 * 99), ..Filter::default() };
        let began = Instant::now();
        let repriced = full.reprice(&filter, &|_| dear.clone())?;
        if repriced.changed < entries / 200 {
            return Err(format!("too few were reckoned anew: {repriced:?}"));
        }
        Ok(repriced.looked as f64 / began.elapsed().as_secs_f64())
    });
    reckoned.await.map_err(|error| error.to_string())?
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The ledger in `dir`, at work.
fn begin(dir: &Path, clock: &Arc<Spread>) -> Arc<Ledger> {
    let settings = Settings { bytes_max: 1 << 40, spool_bytes_max: 256 << 20, ..Settings::default() };
    let full = Arc::new(Ledger::new(&settings, dir, clock.clone()));
    let writes = full.clone();
    std::thread::spawn(move || writes.write());
    full
}

/// Appends the entries; gives the time that this took without the waits for the disk.
fn fill(full: &Ledger, clock: &Spread, arguments: &Arguments) -> Result<Duration, String> {
    let table = Table::shipped();
    let models = ["gpt-4o-mini", "gpt-4.1", "gpt-5", "o3"];
    let prices = models.map(|model| table.find("openai", model).cloned().map(Arc::new));
    let mut appending = Duration::ZERO;
    for number in 0..arguments.entries {
        clock.told.store(number, Ordering::Relaxed);
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let place = random as usize % models.len();
        let usage = Usage {
            input: Some(random % 4_000),
            output: Some(random % 700),
            cached_read: Some(random % 1_000),
            ..Usage::default()
        };
        let tenant = random % arguments.tenants;
        let mut entry = Entry {
            tenant: format!("tenant-{tenant}").as_str().into(),
            key: format!("ak-{tenant:04x}").as_str().into(),
            client: format!("192.168.1.{}", tenant % 250).as_str().into(),
            app: "assistant/1.4".into(),
            surface: "/v1/chat/completions".into(),
            asked: "smart".into(),
            upstream: "openai".into(),
            answered: models.get(place).copied().unwrap_or_default().into(),
            lane: "interactive".into(),
            outcome: if random.is_multiple_of(50) { "cancelled".into() } else { "ok".into() },
            cache: "miss".into(),
            reason: "fastest".into(),
            usage,
            first_token: Some(Duration::from_millis(random % 900)),
            total: Duration::from_millis(1_000 + random % 9_000),
            bytes_out: 4 * (random % 4_000),
            ..Entry::new(full.id())
        };
        entry.reckon(prices.get(place).cloned().flatten(), prices.last().and_then(Option::as_deref));
        let began = Instant::now();
        full.append(entry);
        appending += began.elapsed();
        while number.is_multiple_of(256) && full.stats().spooled > 20_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let stats = full.stats();
    if stats.lost > 0 { Err(format!("{} entries were lost: {}", stats.lost, stats.trouble)) } else { Ok(appending) }
}

fn of_tenant(name: &str) -> Filter {
    Filter { tenant: Some(name.to_owned()), ..Filter::default() }
}

fn newest(full: &Ledger, filter: &Filter) -> Result<(), String> {
    full.page(filter, None, 100).map(drop)
}

fn middle(full: &Ledger) -> Result<(), String> {
    full.page(&Filter::default(), Some(EntryId::new(DAY.begin_ms() + 43_200_000, 0)), 100).map(drop)
}

/// The middle of so many times.
fn time(rounds: usize, mut look: impl FnMut() -> Result<(), String>) -> Result<Duration, String> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        look()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(rounds / 2).copied().unwrap_or_default())
}

/// The system forgets what it knows of the file, as after a night.
fn forget(file: &Path) -> std::io::Result<()> {
    let file = File::open(file)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}
