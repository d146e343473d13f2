//! The database as a whole: what is kept, found, thrown away, and what happens to ill files.

mod questions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::cache::{self, Entry, Key, Purge, Settings, Stats};
use domain::catalogue::Target;
use domain::surface::Surface;

use super::{Pace, Store};
use crate::edges::{Clock as _, SetClock};

pub(super) fn clock() -> Arc<SetClock> {
    Arc::new(SetClock::new(1_800_000_000_000))
}

pub(super) fn key(scope: &str, number: u32) -> Key {
    let mut digest = [0xa5; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    Key { scope: scope.into(), digest }
}

/// An answer that is fresh for a minute.
pub(super) fn entry(tenant: &str, body: &str, clock: &SetClock) -> Entry {
    Entry {
        surface: Surface::OpenaiChat,
        body: Bytes::from(body.to_owned()),
        target: Target::new("box", "qwen"),
        model: "fast".into(),
        tenant: tenant.into(),
        head: "Hi".into(),
        kept_ms: clock.unix_ms(),
        ttl: Duration::from_secs(60),
    }
}

/// Everything at once, and no look-up is late: the machine may be busy.
const QUICK: Pace = Pace {
    gather: Duration::ZERO,
    house: Duration::from_millis(1),
    retry: Duration::from_millis(1),
    late: Duration::from_secs(20),
    hangs: Duration::from_secs(20),
};

/// A database at work.
struct Running {
    store: Arc<Store>,
    clock: Arc<SetClock>,
}

impl Running {
    async fn begin(dir: &Path, settings: &Settings, clock: &Arc<SetClock>) -> Self {
        Self::with_pace(dir, settings, clock, QUICK).await
    }

    async fn with_pace(dir: &Path, settings: &Settings, clock: &Arc<SetClock>, pace: Pace) -> Self {
        let store = Arc::new(Store::with_pace(settings, dir, clock.clone(), pace));
        let (writes, reads) = (store.clone(), store.clone());
        std::thread::spawn(move || writes.write());
        std::thread::spawn(move || reads.read());
        store.flush().await;
        Self { store, clock: clock.clone() }
    }

    async fn keep(&self, tenant: &str, number: u32, body: &str) {
        let entry = entry(tenant, body, &self.clock);
        self.store.keep(key(&format!("tenant:{tenant}"), number), Arc::new(entry), || true);
        self.store.flush().await;
    }

    async fn body(&self, tenant: &str, number: u32) -> Option<Bytes> {
        self.store.find(&key(&format!("tenant:{tenant}"), number)).await.map(|entry| entry.body.clone())
    }

    async fn purge(&self, purge: Purge) -> u64 {
        self.store.purge(purge).await.unwrap().entries
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, mut is_so: impl FnMut(&Stats) -> bool) {
        for _ in 0..2_000 {
            self.store.flush().await;
            if is_so(&self.store.stats()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}: {:?}", self.store.stats());
    }
}

fn settings() -> Settings {
    Settings::default()
}

#[tokio::test]
async fn answers_outlive_a_restart() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let first = Running::begin(dir.path(), &settings(), &clock).await;
    first.keep("a", 1, "one").await;
    assert_eq!(first.body("a", 1).await.unwrap(), "one");
    assert_eq!(first.body("b", 1).await, None, "the same question of somebody else");
    first.store.close(Duration::from_secs(20)).await;
    let log = std::fs::metadata(dir.path().join("cache.db-wal"));
    assert!(log.is_err() || log.is_ok_and(|log| log.len() == 0), "the log is taken over at the end");
    let second = Running::begin(dir.path(), &settings(), &clock).await;
    assert_eq!(second.body("a", 1).await.unwrap(), "one");
    let stats = second.store.stats();
    assert_eq!((stats.trouble.as_str(), stats.database.entries, stats.tenants[0].tenant.as_str()), ("", 1, "a"));
    assert_eq!(mode(&dir.path().join("cache.db")), 0o600, "answers are for their owner's eyes only");
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_purge_comes_after_what_was_kept_before_it() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let pace = Pace { gather: Duration::from_secs(60), ..QUICK };
    let running = Running::with_pace(dir.path(), &settings(), &clock, pace).await;
    for number in 0..10 {
        let entry = entry("a", "one", &clock);
        running.store.keep(key("tenant:a", number), Arc::new(entry), || true);
    }
    assert_eq!(running.purge(Purge { tenant: Some("a".to_owned()), ..Purge::default() }).await, 10);
    assert_eq!(running.body("a", 1).await, None);
    running.keep("a", 1, "two").await;
    assert_eq!(running.body("a", 1).await.unwrap(), "two", "what comes later is not concerned");
    assert_eq!(running.store.stats().database.entries, 1);
}

#[tokio::test]
async fn what_is_named_goes_and_is_listed() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    for (tenant, number) in [("a", 1), ("a", 2), ("b", 1)] {
        running.keep(tenant, number, "secret").await;
        clock.pass(Duration::from_secs(10));
    }
    let names = |filter: &Purge, max| -> Vec<(String, u64)> {
        let listed = running.store.list(filter, max).unwrap();
        assert!(!format!("{listed:?}").contains("secret"));
        listed.into_iter().map(|listed| (listed.scope, listed.age_s)).collect()
    };
    let pair = |scope: &str, age_s| (scope.to_owned(), age_s);
    assert_eq!(names(&Purge::default(), 2), [pair("tenant:b", 10), pair("tenant:a", 20)], "newest first");
    let old = Purge { older_than_s: Some(15), ..Purge::default() };
    assert_eq!(names(&old, 9), [pair("tenant:a", 20), pair("tenant:a", 30)]);
    let one = Purge { entry: Some(key("", 2).name()), ..Purge::default() };
    assert_eq!(running.purge(one).await, 1);
    assert_eq!(running.purge(old).await, 1);
    assert_eq!(running.purge(Purge { model: Some("qwen".to_owned()), ..Purge::default() }).await, 1);
    assert_eq!(running.purge(Purge { all: true, ..Purge::default() }).await, 0);
    let bytes = std::fs::read(dir.path().join("cache.db")).unwrap();
    assert!(!bytes.windows(6).any(|word| word == b"secret"), "no page shows what was thrown away");
}

#[tokio::test]
async fn what_is_over_goes_by_itself() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.keep("a", 1, "one").await;
    clock.pass(Duration::from_secs(62));
    assert_eq!(running.body("a", 1).await, None);
    running.until("it goes", |stats| stats.database.entries == 0).await;
    assert_eq!(running.store.stats().evicted, 0, "it made room for nobody");
}

#[tokio::test]
async fn who_takes_most_gives_what_was_not_asked_for() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let settings = Settings { disk_max_bytes: 100_000, tenant_share: 60, ..settings() };
    let running = Running::begin(dir.path(), &settings, &clock).await;
    // 60 of them are more than one may take.
    let body: String = "0123456789abcdef".chars().cycle().take(200).collect();
    running.keep("small", 0, &body).await;
    for number in 0..300 {
        let entry = Entry { ttl: Duration::from_secs(86_400), ..entry("flood", &body, &clock) };
        running.store.keep(key("tenant:flood", number), Arc::new(entry), || true);
        if number == 50 {
            clock.pass(Duration::from_secs(3_600));
            running.store.used(key("tenant:flood", 7));
        }
    }
    running.store.flush().await;
    let stats = running.store.stats();
    let flood = stats.tenants.iter().find(|share| share.tenant == "flood").unwrap().bytes;
    assert!(flood <= 60_000 && flood > 50_000, "{stats:?}");
    assert!(stats.database.bytes <= 100_000 && stats.evicted > 100, "{stats:?}");
    assert!(running.body("flood", 299).await.is_some(), "the newest stays");
    assert!(running.body("flood", 1).await.is_none(), "the oldest goes");
}

#[tokio::test]
async fn what_is_asked_for_stays_longer() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let settings = Settings { disk_max_bytes: 20_000, tenant_share: 100, ..settings() };
    let running = Running::begin(dir.path(), &settings, &clock).await;
    let keep = async |number| {
        let entry = Entry { ttl: Duration::from_secs(86_400), ..entry("a", &"x".repeat(100), &clock) };
        running.store.keep(key("tenant:a", number), Arc::new(entry), || true);
        running.store.flush().await;
    };
    for number in 0..20 {
        keep(number).await;
    }
    clock.pass(Duration::from_secs(3_600));
    assert!(running.body("a", 3).await.is_some(), "asked for in the second hour");
    for number in 100..150 {
        keep(number).await;
    }
    assert!(running.body("a", 3).await.is_some());
    assert!(running.body("a", 2).await.is_none() && running.body("a", 4).await.is_none());
}

#[tokio::test]
async fn a_file_of_no_use_is_put_aside() {
    let newer = |path: &Path| {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.execute_batch("PRAGMA user_version = 99; CREATE TABLE t (a)").unwrap();
        connection.pragma_update(None, "application_id", 0x4169_726c).unwrap();
    };
    let foreign = |path: &Path| {
        rusqlite::Connection::open(path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    };
    let garbage = |path: &Path| std::fs::write(path, "garbage ".repeat(9_000)).unwrap();
    let short = |path: &Path| std::fs::write(path, "SQLite format 3\0").unwrap();
    for (what, make) in
        [("newer", &newer as &dyn Fn(&Path)), ("foreign", &foreign), ("garbage", &garbage), ("short", &short)]
    {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let path = dir.path().join("cache.db");
        make(&path);
        std::fs::write(dir.path().join("cache.db.damaged"), "the one before").unwrap();
        let was = std::fs::read(&path).unwrap();
        let running = Running::begin(dir.path(), &settings(), &clock).await;
        running.keep("a", 1, "one").await;
        assert_eq!(running.body("a", 1).await.unwrap(), "one", "{what}");
        let trouble = running.store.stats().trouble;
        assert!(trouble.contains("cache.db.damaged"), "{what}: {trouble}");
        let aside = std::fs::read(dir.path().join("cache.db.damaged")).unwrap();
        assert!(aside == was || aside.len() >= was.len(), "{what}: it can be looked at");
    }
}

/// Whatever happens to the file of a running daemon, nothing is found that was not kept so, and it goes on.
#[tokio::test]
async fn damage_is_never_an_answer() {
    let body = |number: u32| format!("{number} ").repeat(20 + number as usize % 400);
    for round in 0..12_u32 {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let running = Running::begin(dir.path(), &settings(), &clock).await;
        for number in 0..200 {
            let entry = entry("a", &body(number), &clock);
            running.store.keep(key("tenant:a", number), Arc::new(entry), || true);
        }
        running.store.flush().await;
        hurt(&dir.path().join("cache.db"), round);
        hurt(&dir.path().join("cache.db-wal"), round);
        let mut found = 0;
        for number in 0..200 {
            if let Some(got) = running.body("a", number).await {
                assert_eq!(got, body(number), "round {round}");
                found += 1;
            }
        }
        running.until("it is written again", |stats| stats.database.bytes_max > 0).await;
        for number in 1_000..1_050 {
            running.keep("a", number, &body(number)).await;
        }
        running.until("it has recovered", |stats| stats.written >= 230).await;
        let last = running.body("a", 1_049).await;
        assert!(last.is_none_or(|last| last == body(1_049)), "round {round}, {found} found");
    }
}

/// Writes numbers that look random over a twentieth of the file, in other places each round.
fn hurt(path: &Path, round: u32) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let mut state = u64::from(round) + 1;
    for _ in 0..length / 20 / 64 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise: Vec<u8> = (0..64).map(|byte| (state >> (byte % 56)) as u8).collect();
        file.write_at(&noise, state % length.max(1)).unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_taken_away_is_made_again() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.keep("a", 1, "one").await;
    for name in ["cache.db", "cache.db-wal", "cache.db-shm"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    running.until("it is gone", |stats| stats.database.entries == 0).await;
    running.keep("a", 2, "two").await;
    assert!(dir.path().join("cache.db").exists());
    assert_eq!((running.body("a", 1).await, running.body("a", 2).await.unwrap()), (None, "two".into()));
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_told_and_tried_again() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let data = dir.path().join("data");
    // Not even root can make a file there.
    std::os::unix::fs::symlink("/sys", &data).unwrap();
    let running = Running::begin(&data, &settings(), &clock).await;
    running.keep("a", 1, "one").await;
    let stats = running.store.stats();
    assert!(stats.trouble.contains("cannot be written") && stats.trouble.contains("data.dir"), "{stats:?}");
    assert_eq!((stats.unwritten, stats.written), (1, 0));
    let refused = running.store.purge(Purge { all: true, ..Purge::default() }).await.unwrap_err();
    assert!(refused.contains("cannot be written"), "{refused}");
    assert!(running.store.list(&Purge::default(), 1).unwrap_err().contains("cannot be written"));
    std::fs::remove_file(&data).unwrap();
    std::fs::create_dir(&data).unwrap();
    running.until("it is tried again", |stats| stats.trouble.is_empty()).await;
    running.keep("a", 1, "one").await;
    assert_eq!(running.body("a", 1).await.unwrap(), "one");
}

#[tokio::test]
async fn what_could_not_be_thrown_away_is_not_given() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.keep("a", 1, "one").await;
    clock.pass(Duration::from_secs(2));
    running.keep("b", 1, "two").await;
    let other = rusqlite::Connection::open(dir.path().join("cache.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for purge in [
        Purge { older_than_s: Some(1), ..Purge::default() },
        Purge { tenant: Some("c".to_owned()), ..Purge::default() },
    ] {
        let refused = running.store.purge(purge).await.unwrap_err();
        assert!(refused.contains("another program holds") && refused.contains("purge again"), "{refused}");
        assert_eq!((running.body("a", 1).await, running.body("b", 1).await), (None, None));
        assert!(running.store.list(&Purge::default(), 1).is_err());
    }
    clock.pass(Duration::from_secs(2));
    drop(other);
    running.until("it is done later", |stats| stats.trouble.is_empty()).await;
    assert_eq!((running.body("a", 1).await, running.body("b", 1).await.unwrap()), (None, "two".into()));
    assert_eq!(running.store.stats().database.entries, 1, "what has become old meanwhile was not named");
}

#[tokio::test]
async fn nothing_is_given_while_a_purge_is_under_way() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.keep("a", 1, "one").await;
    running.keep("b", 1, "two").await;
    let other = rusqlite::Connection::open(dir.path().join("cache.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let purge = running.store.purge(Purge { tenant: Some("a".to_owned()), ..Purge::default() });
    let meanwhile = async {
        assert_eq!(running.body("a", 1).await, None, "whoever asked may not wait so long");
        drop(other);
    };
    // What holds the file may do so longer than is waited for it, on a busy machine: then the purge is owed.
    let _ = tokio::join!(purge, meanwhile);
    running.until("it is done", |stats| stats.database.entries == 1 && stats.trouble.is_empty()).await;
    assert_eq!((running.body("a", 1).await, running.body("b", 1).await.unwrap()), (None, "two".into()));
}

/// A database in memory whose copy holds one answer, begun again.
async fn copied(dir: &Path, clock: &Arc<SetClock>) -> Running {
    let hour = cache::Store::Memory { copy_every: Duration::from_secs(3_600) };
    let settings = Settings { store: hour, ..settings() };
    let running = Running::begin(dir, &settings, clock).await;
    running.keep("a", 1, "one").await;
    running.store.close(Duration::from_secs(20)).await;
    Running::begin(dir, &settings, clock).await
}

#[tokio::test]
async fn a_copy_that_could_not_be_made_anew_loses_it_later() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = copied(dir.path(), &clock).await;
    let (copy, part) = (dir.path().join("cache.db"), dir.path().join("cache.db.part"));
    let entries = || -> u64 {
        let copy = rusqlite::Connection::open(&copy).unwrap();
        copy.query_row("SELECT count(*) FROM answer", [], |row| row.get(0)).unwrap()
    };
    std::fs::create_dir(&part).unwrap();
    assert!(running.store.purge(Purge { all: true, ..Purge::default() }).await.is_err());
    assert_eq!(entries(), 1);
    std::fs::remove_dir(&part).unwrap();
    running.until("the copy is made", |stats| stats.trouble.is_empty()).await;
    assert_eq!(entries(), 0);
    running.store.close(Duration::from_secs(20)).await;
}

/// On a router, the file that takes a damaged one's place is made from a copy that still holds what was thrown away.
#[tokio::test]
async fn what_is_thrown_away_does_not_come_back_with_the_copy() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = copied(dir.path(), &clock).await;
    let in_memory = running.store.shared.open().unwrap().path;
    std::fs::write(&in_memory, "garbage ".repeat(9_000)).unwrap();
    assert_eq!(running.purge(Purge { tenant: Some("a".to_owned()), ..Purge::default() }).await, 1);
    assert_eq!(running.body("a", 1).await, None);
    let stats = running.store.stats();
    assert!(stats.trouble.contains("was thrown away"), "{stats:?}");
    running.store.close(Duration::from_secs(20)).await;
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "the one who would need it is the thread that is held up")]
async fn a_slow_disk_delays_one_look_up_and_no_other() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let pace = Pace { late: Duration::from_millis(5), ..QUICK };
    let running = Running::with_pace(dir.path(), &settings(), &clock, pace).await;
    running.keep("a", 1, "one").await;
    let disk = running.store.reader.disk.lock().unwrap();
    assert_eq!(running.body("a", 1).await, None, "waited for in vain");
    // Time does not pass here: these do not wait.
    let began = running.store.reader.asked();
    for _ in 0..1_000 {
        assert_eq!(running.body("a", 1).await, None);
    }
    assert_eq!(running.store.reader.asked(), began, "nobody asks a reader that hangs");
    drop(disk);
    for _ in 0..2_000 {
        if running.body("a", 1).await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the disk is quick again, and nothing is found");
}

#[tokio::test]
async fn on_a_router_the_file_is_in_memory_and_a_copy_on_the_disk() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let hour = cache::Store::Memory { copy_every: Duration::from_secs(3_600) };
    let settings = Settings { store: hour, ..settings() };
    let first = Running::begin(dir.path(), &settings, &clock).await;
    first.keep("a", 1, "one").await;
    first.keep("b", 1, "two").await;
    let copy = dir.path().join("cache.db");
    assert!(!copy.exists(), "nothing is written to the flash before the time");
    assert_eq!(first.purge(Purge { tenant: Some("a".to_owned()), ..Purge::default() }).await, 1);
    assert!(copy.exists(), "what is thrown away is gone from the copy as well");
    let in_memory = first.store.shared.open().unwrap().path;
    first.store.close(Duration::from_secs(20)).await;
    assert!(!in_memory.exists(), "the memory is given back");
    let second = Running::begin(dir.path(), &settings, &clock).await;
    assert_eq!((second.body("a", 1).await, second.body("b", 1).await.unwrap()), (None, "two".into()));
    second.store.close(Duration::from_secs(20)).await;
    let on_disk = Running::begin(dir.path(), &self::settings(), &clock).await;
    assert_eq!(on_disk.body("b", 1).await.unwrap(), "two", "the copy is a whole file");
}

#[tokio::test]
async fn copies_are_made_in_time() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let often = cache::Store::Memory { copy_every: Duration::from_millis(1) };
    let running = Running::begin(dir.path(), &Settings { store: often, ..settings() }, &clock).await;
    running.keep("a", 1, "one").await;
    let copy = dir.path().join("cache.db");
    let entries =
        || rusqlite::Connection::open(&copy).ok()?.query_row("SELECT count(*) FROM answer", [], |row| row.get(0)).ok();
    running.until("a copy is made", |_| entries() == Some(1_u64)).await;
    assert_eq!(mode(&copy), 0o600);
    assert_eq!(running.purge(Purge { all: true, ..Purge::default() }).await, 1);
    assert_eq!(entries(), Some(0), "the copy loses it, though nothing else was written since it was made");
    running.store.close(Duration::from_secs(20)).await;
}
