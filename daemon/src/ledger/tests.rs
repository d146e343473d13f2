//! The ledger as a whole: what is appended, found, summed up, corrected and dropped, and what happens to ill files.

mod files;
mod kills;
mod readings;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::date::Day;
use domain::ledger::{Entry, EntryId, Filter, Line, Settings, Stats};
use domain::money::MicroUsd;
use domain::price::Prices;
use domain::usage::{Saved, Usage};
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::{Control, Ledger, Pace};
use crate::edges::SetClock;

/// 2026-11-28, at noon.
const NOON_MS: u64 = 1_795_867_200_000;
const DAY: Duration = Duration::from_secs(86_400);

/// Everything at once: the machine may be busy.
const QUICK: Pace = Pace {
    gather: Duration::ZERO,
    house: Duration::from_millis(1),
    retry: Duration::from_millis(1),
    hangs: Duration::from_secs(20),
};

fn clock() -> Arc<SetClock> {
    Arc::new(SetClock::new(NOON_MS))
}

fn settings() -> Settings {
    Settings::default()
}

fn today() -> Day {
    Day::of_unix_ms(NOON_MS)
}

fn prices(line: &str) -> Arc<Prices> {
    Arc::new(Prices::from_line(&format!("{line} | test | 2026-11-01")).unwrap())
}

/// A request that cost a thousand micro-dollars for its prompt, and two each for tokens of its answer.
fn entry(id: EntryId, tenant: &str, output: u64) -> Entry {
    let usage = Usage { input: Some(1_000), output: Some(output), ..Usage::default() };
    let mut entry = Entry {
        tenant: tenant.into(),
        asked: "fast".into(),
        upstream: "cloud".into(),
        answered: "gpt".into(),
        outcome: "ok".into(),
        usage,
        total: Duration::from_millis(1_500),
        ..Entry::new(id)
    };
    entry.reckon(Some(prices("input 1 output 2")), None);
    entry
}

/// A ledger at work, until the test ends.
struct Running {
    ledger: Arc<Ledger>,
    is_closed: Cell<bool>,
}

/// Its folder goes next: nothing is to be written there any more.
impl Drop for Running {
    fn drop(&mut self) {
        let (done, mut closed) = oneshot::channel();
        self.ledger.control(Control::Close(done));
        while !self.is_closed.get() && closed.try_recv() == Err(TryRecvError::Empty) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Running {
    async fn begin(dir: &Path, settings: &Settings, clock: &Arc<SetClock>) -> Self {
        let ledger = Arc::new(Ledger::with_pace(settings, dir, clock.clone(), QUICK));
        let writes = ledger.clone();
        std::thread::spawn(move || writes.write());
        ledger.flush().await;
        Self { ledger, is_closed: Cell::new(false) }
    }

    /// Appends an entry of now.
    fn append(&self, tenant: &str, output: u64) -> Entry {
        let entry = entry(self.ledger.id(), tenant, output);
        self.ledger.append(entry.clone());
        entry
    }

    fn newest(&self, filter: &Filter) -> Vec<Entry> {
        self.ledger.page(filter, None, 1_000).unwrap().entries
    }

    fn day(&self, day: Day) -> Vec<Line> {
        self.ledger.sums(&(day..=day), None).unwrap()
    }

    async fn close(&self) {
        self.ledger.close(Duration::from_secs(20)).await;
        self.is_closed.set(true);
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, mut is_so: impl FnMut(&Stats) -> bool) {
        for _ in 0..2_000 {
            self.ledger.flush().await;
            if is_so(&self.ledger.stats()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}: {:?}", self.ledger.stats());
    }
}

#[tokio::test]
async fn everything_of_an_entry_is_found_again_after_a_restart() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let first = Running::begin(dir.path(), &settings(), &clock).await;
    let bare = Entry::new(first.ledger.id());
    let kept =
        Usage { input: Some(0), output: Some(0), saved: Some(Saved { input: 5, output: 7 }), ..Usage::default() };
    let mut full = Entry {
        key: "ak-3f".into(),
        app: "say \"hi\" \u{1f680}".into(),
        client: "fe80::1".into(),
        surface: "openai".into(),
        lane: "bulk".into(),
        cache: "miss".into(),
        reason: "fastest".into(),
        images: 3,
        first_token: Some(Duration::from_millis(300)),
        queue: Duration::from_millis(20),
        bytes_out: 9_999,
        ..entry(first.ledger.id(), "a", 100)
    };
    full.usage = Usage { cached_read: Some(400), cache_write: Some(0), reasoning: Some(9), ..full.usage };
    full.estimated.output = true;
    full.reckon(
        Some(prices("input 1 output 2 image 5 from 900 input 2 output 3")),
        Some(&prices("input 10 output 20")),
    );
    let free = Entry { usage: kept, ..entry(first.ledger.id(), "b", 0) };
    let unknown = Entry { cost: None, prices: None, ..entry(first.ledger.id(), "c", 1) };
    let all = [bare, full, free, unknown];
    for entry in &all {
        first.ledger.append(entry.clone());
    }
    first.close().await;
    let log = std::fs::metadata(dir.path().join("ledger.db-wal"));
    assert!(log.is_err() || log.is_ok_and(|log| log.len() == 0), "the log is taken over at the end");
    let second = Running::begin(dir.path(), &settings(), &clock).await;
    let mut found = second.newest(&Filter::default());
    found.reverse();
    assert_eq!(found, all);
    assert_eq!(second.ledger.stats().trouble, "");
}

#[tokio::test]
async fn an_entry_that_comes_twice_counts_once() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    let one = running.append("a", 100);
    running.ledger.append(one.clone());
    running.ledger.flush().await;
    running.ledger.append(one.clone());
    running.append("a", 0);
    running.ledger.flush().await;
    assert_eq!(running.newest(&Filter::default()).len(), 2);
    let sums = running.day(today())[0].sums;
    assert_eq!((sums.requests, sums.output, sums.cost), (2, 100, MicroUsd(1_000 + 200 + 1_000)));
    running.close().await;
    let again = Running::begin(dir.path(), &settings(), &clock).await;
    again.ledger.append(one);
    again.ledger.flush().await;
    assert_eq!(again.day(today())[0].sums, sums, "nor after a restart");
}

/// Sums of everything in the file, made of the entries themselves.
fn summed_up(entries: &[Entry]) -> (u64, MicroUsd, u64) {
    let sums = entries.iter().map(domain::ledger::Sums::of);
    let sum = sums.fold(domain::ledger::Sums::default(), |sum, one| sum.plus(&one));
    (sum.requests, sum.cost, sum.unknown)
}

#[tokio::test]
async fn costs_are_reckoned_anew_beside_the_old_ones() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    let unknown = Entry { cost: None, prices: None, ..entry(running.ledger.id(), "b", 10) };
    let free = Entry { upstream: "".into(), ..entry(running.ledger.id(), "c", 10) };
    for _ in 0..600 {
        running.append("a", 100);
    }
    running.ledger.append(unknown);
    running.ledger.append(free);
    let dearer = prices("input 2 output 3");
    let reprice = async |filter: Filter, prices: Option<Arc<Prices>>| {
        let ledger = running.ledger.clone();
        let task = tokio::task::spawn_blocking(move || ledger.reprice(&filter, &|_| prices.clone()));
        task.await.unwrap().unwrap()
    };
    let done = reprice(Filter::default(), Some(dearer.clone())).await;
    assert_eq!((done.looked, done.changed), (602, 601));
    let found = running.newest(&Filter { tenant: Some("a".to_owned()), ..Filter::default() });
    for entry in &found {
        let correction = entry.correction.as_ref().unwrap();
        assert_eq!((entry.known_cost(), entry.cost.unwrap().micro_usd), (Some(MicroUsd(2_300)), MicroUsd(1_200)));
        assert_eq!((&correction.prices, correction.at_ms), (&Some(dearer.clone()), NOON_MS));
    }
    let line = |tenant: &str| running.ledger.sums(&(today()..=today()), Some(tenant)).unwrap()[0].sums;
    assert_eq!((line("a").cost, line("a").requests), (MicroUsd(2_300 * 600), 600));
    assert_eq!((line("b").cost, line("b").unknown), (MicroUsd(2_030), 0), "what was unknown is known now");
    assert_eq!(line("c").cost, MicroUsd(1_020), "it went nowhere");
    assert_eq!(reprice(Filter::default(), Some(dearer)).await.changed, 0, "done again it changes nothing");
    assert_eq!(reprice(Filter::default(), None).await.changed, 0, "who gives no prices changes nothing");
    let before = reprice(Filter { to_ms: Some(NOON_MS), ..Filter::default() }, Some(prices("input 9 output 9"))).await;
    assert_eq!((before.looked, before.changed), (0, 0));
    let spent = |since_ms| running.ledger.spent_since(since_ms).unwrap().get("a").copied();
    assert_eq!((spent(NOON_MS), spent(NOON_MS + 1)), (Some(MicroUsd(2_300 * 600)), None), "so do budgets");
    reprice(Filter::default(), Some(prices("input 1 output 2"))).await;
    assert_eq!((spent(NOON_MS), spent(NOON_MS + 1)), (Some(MicroUsd(1_200 * 600)), None));
    assert_eq!(line("a").cost, MicroUsd(1_200 * 600), "and back");
    let all = running.newest(&Filter::default());
    assert_eq!(summed_up(&all), (602, MicroUsd(1_200 * 600 + 1_020 + 1_020), 0));
}

#[tokio::test]
async fn days_go_and_their_sums_stay() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let settings = Settings { days: 2, sums_days: 4, ..settings() };
    let running = Running::begin(dir.path(), &settings, &clock).await;
    for day in 0..6 {
        running.append("a", day);
        running.ledger.flush().await;
        clock.pass(DAY);
    }
    // It is the seventh day.
    let path = dir.path().join("ledger.db");
    let tables = || -> u64 {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB '*_2026*'";
        Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    running.until("old days go", |_| tables() == 6).await;
    let found: Vec<u64> = running.newest(&Filter::default()).iter().filter_map(|entry| entry.usage.output).collect();
    assert_eq!(found, [5, 4]);
    let all = running.ledger.sums(&(Day(0)..=Day::LAST), None).unwrap()[0].sums;
    assert_eq!((all.requests, all.output), (4, 2 + 3 + 4 + 5));
    let late = Entry { id: EntryId::new(NOON_MS, 1), ..entry(running.ledger.id(), "late", 1) };
    running.ledger.append(late);
    running.until("late entries of a day that is gone go as well", |stats| stats.written == 7 && tables() == 6).await;
    assert_eq!(running.ledger.stats().trouble, "");
}

#[tokio::test]
async fn room_is_kept_and_sums_stay() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let settings = Settings { bytes_max: 600_000, ..settings() };
    let running = Running::begin(dir.path(), &settings, &clock).await;
    for day in 0..3_u64 {
        for number in 0..12_000 {
            running.append(&format!("t{day}"), number);
            if number % 256 == 0 {
                running.ledger.flush().await;
            }
        }
        running.ledger.flush().await;
        clock.pass(DAY);
    }
    running.until("room is made", |stats| stats.bytes > 0 && stats.bytes <= 600_000).await;
    let left = running.ledger.page(&Filter::default(), None, 1).unwrap();
    assert_eq!(left.entries[0].usage.output, Some(11_999), "the newest stays");
    let some = |tenant: &str| Filter { tenant: Some(tenant.to_owned()), ..Filter::default() };
    assert!(running.newest(&some("t0")).is_empty(), "the oldest day went");
    let sums = running.ledger.sums(&(today()..=Day::LAST), None).unwrap();
    assert_eq!(sums.iter().map(|line| line.sums.requests).sum::<u64>(), 36_000);
}
