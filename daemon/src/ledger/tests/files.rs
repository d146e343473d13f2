//! Ill files, full disks, memory that is full, and files of others.

use super::*;
use domain::cache::Store;

#[tokio::test]
async fn what_cannot_be_written_waits_and_is_told() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let data = dir.path().join("data");
    // Not even root can make a file there.
    std::os::unix::fs::symlink("/sys", &data).unwrap();
    let running = Running::begin(&data, &settings(), &clock).await;
    for number in 0..300 {
        running.append("a", number);
    }
    running.ledger.flush().await;
    let stats = running.ledger.stats();
    assert!(stats.trouble.contains("wait in memory") && stats.trouble.contains("cannot be written"), "{stats:?}");
    assert_eq!((stats.spooled, stats.written, stats.lost), (300, 0, 0));
    assert!(running.ledger.page(&Filter::default(), None, 1).unwrap_err().contains("cannot be written"));
    std::fs::remove_file(&data).unwrap();
    std::fs::create_dir(&data).unwrap();
    running.until("it is tried again", |stats| stats.written == 300 && stats.trouble.is_empty()).await;
    assert_eq!(running.day(today())[0].sums.requests, 300);
    assert_eq!(running.ledger.stats().spooled, 0);
}

#[tokio::test]
async fn only_what_does_not_fit_into_memory_is_lost() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let data = dir.path().join("data");
    std::os::unix::fs::symlink("/sys", &data).unwrap();
    let settings = Settings { spool_bytes_max: 400_000, ..settings() };
    let running = Running::begin(&data, &settings, &clock).await;
    for number in 0..2_000 {
        running.append("a", number);
        if number % 50 == 0 {
            running.ledger.flush().await;
        }
    }
    running.ledger.flush().await;
    let stats = running.ledger.stats();
    assert!(stats.lost > 1_000 && stats.spooled > 100 && stats.lost + stats.spooled == 2_000, "{stats:?}");
    assert!(
        stats.trouble.contains(&format!("{} requests since the start are not in the ledger", stats.lost)),
        "{stats:?}"
    );
    std::fs::remove_file(&data).unwrap();
    std::fs::create_dir(&data).unwrap();
    running.until("the rest is written", |later| later.written == stats.spooled).await;
    let found = running.newest(&Filter::default());
    assert_eq!(found.len() as u64, stats.spooled.min(1_000));
    let trouble = running.ledger.stats().trouble;
    assert!(trouble.starts_with(&stats.lost.to_string()), "what is lost is told until the end: {trouble}");
}

#[tokio::test]
async fn a_file_that_another_program_holds_is_waited_for() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.append("a", 1);
    running.ledger.flush().await;
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    running.append("a", 2);
    running.ledger.flush().await;
    let stats = running.ledger.stats();
    assert!(stats.trouble.contains("another program holds") && stats.spooled == 1, "{stats:?}");
    assert_eq!(running.newest(&Filter::default()).len(), 1, "it can be read meanwhile");
    drop(other);
    running.until("it is written", |stats| stats.written == 2 && stats.trouble.is_empty()).await;
    assert_eq!(running.newest(&Filter::default()).len(), 2);
}

#[tokio::test]
async fn a_damaged_file_is_put_aside() {
    let garbage = |path: &Path| std::fs::write(path, "garbage ".repeat(9_000)).unwrap();
    let headless = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("PRAGMA application_id = 0x4169726d; PRAGMA user_version = 1; CREATE TABLE t (a)")
            .unwrap();
    };
    for (what, make) in [("garbage", &garbage as &dyn Fn(&Path)), ("without sums", &headless)] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let path = dir.path().join("ledger.db");
        make(&path);
        let was = std::fs::read(&path).unwrap();
        let running = Running::begin(dir.path(), &settings(), &clock).await;
        running.append("a", 1);
        running.ledger.flush().await;
        assert_eq!(running.newest(&Filter::default()).len(), 1, "{what}");
        let trouble = running.ledger.stats().trouble;
        assert!(trouble.contains("ledger.db.damaged") && trouble.contains("a new one was begun"), "{what}: {trouble}");
        let aside = std::fs::read(dir.path().join("ledger.db.damaged")).unwrap();
        assert_eq!(aside.len(), was.len(), "{what}: it can be looked at");
    }
}

/// Damage under a running daemon: what is found was written so, and it goes on with another file.
#[tokio::test]
async fn damage_under_way_is_found_and_put_aside() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    for number in 0..5_000 {
        running.append("a", number);
    }
    running.ledger.flush().await;
    running.close().await;
    let path = dir.path().join("ledger.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // All but the first pages: it opens, and cannot be read.
    bytes[40_000..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    let page = running.ledger.page(&Filter::default(), None, 1_000);
    assert!(page.unwrap_err().contains("cannot be read"));
    running.until("it is put aside", |stats| stats.trouble.contains("ledger.db.damaged")).await;
    running.append("b", 1);
    running.ledger.flush().await;
    assert_eq!(running.newest(&Filter::default()).len(), 1);
}

#[tokio::test]
async fn what_is_not_ours_is_left_as_it_is() {
    let newer = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("CREATE TABLE sum (a); PRAGMA application_id = 0x4169726d; PRAGMA user_version = 99")
            .unwrap();
    };
    let foreign = |path: &Path| Connection::open(path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    for (make, want) in
        [(&newer as &dyn Fn(&Path), "a newer airlane wrote it (version 99)"), (&foreign, "another program's")]
    {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let path = dir.path().join("ledger.db");
        make(&path);
        let running = Running::begin(dir.path(), &settings(), &clock).await;
        running.append("a", 1);
        running.ledger.flush().await;
        let stats = running.ledger.stats();
        assert!(stats.trouble.contains(want) && stats.trouble.contains("move it elsewhere"), "{}", stats.trouble);
        assert_eq!((stats.spooled, stats.written), (1, 0));
        assert!(!dir.path().join("ledger.db.damaged").exists());
        std::fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        running.until("a new one is begun", |stats| stats.written == 1 && stats.trouble.is_empty()).await;
    }
}

#[tokio::test]
async fn a_file_that_is_taken_away_is_made_again() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.append("a", 1);
    running.ledger.flush().await;
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    running.until("another is there", |_| dir.path().join("ledger.db").exists()).await;
    running.append("a", 2);
    running.ledger.flush().await;
    let found: Vec<_> = running.newest(&Filter::default()).iter().map(|entry| entry.usage.output).collect();
    assert_eq!(found, [Some(2)]);
}

#[tokio::test]
async fn in_memory_with_a_copy() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = Store::Memory { copy_every: Duration::from_secs(3_600) };
    let settings = Settings { store, ..settings() };
    let running = Running::begin(dir.path(), &settings, &clock).await;
    running.append("a", 1);
    running.ledger.flush().await;
    let in_memory = crate::sqlite::lock(&running.ledger.shared.open).clone().unwrap().path;
    assert!(!in_memory.starts_with(dir.path()) && !dir.path().join("ledger.db").exists());
    // The kept answers have a file there too.
    let neighbour = in_memory.with_file_name("cache.db");
    std::fs::write(&neighbour, "").unwrap();
    running.close().await;
    assert!(!in_memory.exists() && neighbour.exists(), "only what is ours goes");
    let again = Running::begin(dir.path(), &settings, &clock).await;
    assert_eq!(again.newest(&Filter::default()).len(), 1);
    std::fs::remove_file(&neighbour).unwrap();
    again.close().await;
    assert!(!in_memory.parent().unwrap().exists(), "the memory is given back");
}
