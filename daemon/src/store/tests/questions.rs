//! Questions of kept answers: what leads where, what they take, and what goes with what.

use domain::semantic::Vector;

use super::*;
use crate::store::{Asked, Partition, Standing};

const PARTITION: [u8; 32] = [7; 32];
/// Most rows that these tests ask for.
const MANY: usize = 1_000;

fn asked(key: &Key, text: &str) -> Asked {
    let numbers: Vec<f32> = (0..8_u8).map(|place| f32::from(place) + text.len() as f32).collect();
    Asked { key: key.clone(), text: text.into(), vector: Vector::of(&numbers).unwrap() }
}

impl Running {
    async fn ask(&self, partition: [u8; 32], asked: &Asked) {
        self.store.ask(partition, asked.clone());
        self.store.flush().await;
    }

    fn partition(&self, scope: &str) -> Partition {
        self.store.partition(scope, &PARTITION, MANY).unwrap()
    }

    fn texts(&self, scope: &str) -> Vec<String> {
        self.partition(scope).asked.iter().map(|asked| asked.text.to_string()).collect()
    }

    fn bytes(&self) -> u64 {
        self.store.stats().database.bytes
    }
}

fn sql(dir: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(dir.join("cache.db")).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn count(dir: &Path, what: &str) -> u64 {
    let connection = rusqlite::Connection::open(dir.join("cache.db")).unwrap();
    connection.query_row(&format!("SELECT {what}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn questions_are_found_by_scope_and_partition() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    let mine = key("tenant:a", 1);
    running.ask(PARTITION, &asked(&mine, "too early")).await;
    assert_eq!(running.partition("tenant:a"), Partition::default(), "it leads to no answer");
    for tenant in ["a", "b"] {
        running.keep(tenant, 1, "one").await;
        running.ask(PARTITION, &asked(&key(&format!("tenant:{tenant}"), 1), tenant)).await;
    }
    running.ask(PARTITION, &asked(&mine, "in other words")).await;
    running.ask([8; 32], &asked(&mine, "of another kind")).await;
    running.ask(PARTITION, &asked(&mine, &"long".repeat(501))).await;
    running.store.bar(mine.clone(), vec![1]);
    running.store.bar(mine.clone(), vec![2, 3]);
    running.store.bar(key("tenant:a", 9), vec![4]);
    running.store.flush().await;
    let want = Partition {
        asked: vec![asked(&mine, "in other words"), asked(&mine, "a")],
        bars: vec![(mine.clone(), vec![2, 3])],
    };
    assert_eq!(running.partition("tenant:a"), want);
    assert_eq!(running.texts("tenant:b"), ["b"], "the same partition of another scope");
    assert_eq!(running.partition("tenant:c"), Partition::default());
    assert_eq!(running.store.partition("tenant:a", &PARTITION, 1).unwrap().asked, want.asked[..1]);
    running.store.unask(mine, "in other words".into());
    running.store.flush().await;
    assert_eq!(running.texts("tenant:a"), ["a"]);
    let standing = |number| running.store.standing(&key("tenant:a", number)).unwrap();
    assert_eq!(standing(1), Standing { is_fresh: true, bar: Some(vec![2, 3]) });
    assert_eq!(standing(2), Standing::default());
    clock.pass(Duration::from_secs(60));
    assert_eq!(running.texts("tenant:a"), [""; 0], "the answer is over");
    assert!(!standing(1).is_fresh);
}

#[tokio::test]
async fn an_answer_that_is_kept_again_keeps_its_questions() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    let house = key("house", 1);
    let keep = async |number, tenant: &str, body: &str| {
        running.store.keep(key("house", number), Arc::new(entry(tenant, body, &clock)), || true);
        running.store.flush().await;
    };
    keep(1, "a", "one").await;
    running.ask(PARTITION, &asked(&house, "a question")).await;
    running.store.bar(house.clone(), vec![1]);
    keep(2, "a", "two").await;
    let (before, bytes) = (running.partition("house"), running.bytes());
    clock.pass(Duration::from_secs(1));
    keep(1, "b", "one").await;
    assert_eq!(running.partition("house"), before);
    let stats = running.store.stats();
    assert_eq!((stats.database.entries, stats.database.bytes), (2, bytes), "{stats:?}");
    assert_eq!(stats.tenants.len(), 2, "it takes the share of who sent it last: {stats:?}");
    let newest = running.store.list(&Purge::default(), 1).unwrap();
    assert_eq!(newest[0].name, house.name(), "the newest, though its row is the older one");
    keep(1, "b", "three").await;
    assert_eq!(running.partition("house"), Partition::default(), "what was judged by another answer is worth nothing");
    assert_eq!(running.store.find(&house).await.unwrap().body, "three");
}

#[tokio::test]
async fn each_text_stands_once_and_only_so_many_stand() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    let mine = key("tenant:a", 1);
    running.keep("a", 1, "one").await;
    let bare = running.bytes();
    for number in [0, 1, 1, 0] {
        running.ask(PARTITION, &asked(&mine, &format!("question {number:02}"))).await;
    }
    assert_eq!(running.texts("tenant:a"), ["question 01", "question 00"], "each in its place");
    let each = (running.bytes() - bare) / 2;
    for number in 2..40 {
        running.store.ask(PARTITION, asked(&mine, &format!("question {number:02}")));
    }
    running.store.flush().await;
    let texts = running.texts("tenant:a");
    assert_eq!((texts.len(), &*texts[0], &*texts[30], &*texts[31]), (32, "question 39", "question 09", "question 00"));
    assert_eq!(running.bytes(), bare + 32 * each);
    let elsewhere = asked(&mine, "question 00");
    running.ask([8; 32], &elsewhere).await;
    assert_eq!(running.store.partition("tenant:a", &[8; 32], MANY).unwrap().asked, [elsewhere], "it has moved");
    assert_eq!(running.texts("tenant:a").len(), 31);
}

#[tokio::test]
async fn questions_go_with_their_answer() {
    let none = Purge::default;
    let text = |text: &str| Some(text.to_owned());
    for purge in [
        Purge { all: true, ..none() },
        Purge { tenant: text("a"), ..none() },
        Purge { model: text("qwen"), ..none() },
        Purge { older_than_s: Some(1), ..none() },
        Purge { prefix: text("Hi"), ..none() },
        Purge { entry: Some(key("", 1).name()), ..none() },
    ] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let running = Running::begin(dir.path(), &settings(), &clock).await;
        running.keep("a", 1, "one").await;
        running.ask(PARTITION, &asked(&key("tenant:a", 1), "a secret question")).await;
        running.store.bar(key("tenant:a", 1), vec![1]);
        clock.pass(Duration::from_secs(2));
        assert_eq!(running.purge(purge.clone()).await, 1, "{purge:?}");
        let left = count(dir.path(), "(SELECT count(*) FROM question) + (SELECT count(*) FROM bar)");
        assert_eq!((left, running.bytes()), (0, 0), "{purge:?}");
        let bytes = std::fs::read(dir.path().join("cache.db")).unwrap();
        assert!(!bytes.windows(6).any(|word| word == b"secret"), "no page shows it: {purge:?}");
    }
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.keep("a", 1, "one").await;
    running.ask(PARTITION, &asked(&key("tenant:a", 1), "a question")).await;
    clock.pass(Duration::from_secs(62));
    running.until("it is over", |stats| stats.database.entries == 0).await;
    running.keep("a", 1, "one").await;
    running.ask(PARTITION, &asked(&key("tenant:a", 1), "another question")).await;
    sql(dir.path(), "UPDATE answer SET head = 'other'");
    assert_eq!(running.body("a", 1).await, None);
    running.until("a bad answer goes", |stats| stats.database.entries == 0).await;
    assert_eq!(count(dir.path(), "count(*) FROM question"), 0);
}

#[tokio::test]
async fn a_flood_of_questions_takes_its_own_tenants_share() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let settings = Settings { disk_max_bytes: 100_000, tenant_share: 60, ..settings() };
    let running = Running::begin(dir.path(), &settings, &clock).await;
    running.keep("small", 0, "one").await;
    for number in 0..40 {
        running.keep("flood", number, "one").await;
        for text in 0..8 {
            let text = format!("{text}{}", " and more".repeat(60));
            running.store.ask(PARTITION, asked(&key("tenant:flood", number), &text));
        }
    }
    running.store.flush().await;
    let stats = running.store.stats();
    assert!(stats.tenants[0].tenant == "flood" && stats.tenants[0].bytes <= 60_000, "{stats:?}");
    assert!(stats.evicted > 10, "{stats:?}");
    assert!(running.body("small", 0).await.is_some() && running.body("flood", 39).await.is_some());
    let summed = count(dir.path(), "(SELECT sum(bytes) FROM tenant) - (SELECT sum(size) FROM answer)");
    let orphans = count(dir.path(), "count(*) FROM question WHERE answer NOT IN (SELECT id FROM answer)");
    assert_eq!((summed, orphans), (0, 0));
}

#[tokio::test]
async fn what_was_not_written_so_is_not_given_and_goes() {
    for change in [
        "question SET text = 'another question'",
        "question SET vector = zeroblob(16)",
        "question SET vector = substr(vector, 3)",
        "question SET seal = zeroblob(16)",
        "question SET answer = (SELECT max(id) FROM answer)",
        "answer SET digest = zeroblob(32) WHERE id = 1",
    ] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let running = Running::begin(dir.path(), &settings(), &clock).await;
        running.keep("a", 1, "one").await;
        running.ask(PARTITION, &asked(&key("tenant:a", 1), "a question")).await;
        running.keep("a", 2, "two").await;
        running.ask(PARTITION, &asked(&key("tenant:a", 2), "a good question")).await;
        sql(dir.path(), &format!("UPDATE {change}{}", if change.contains("WHERE") { "" } else { " WHERE id = 1" }));
        assert_eq!(running.texts("tenant:a"), ["a good question"], "{change}");
        running.store.flush().await;
        assert_eq!(count(dir.path(), "count(*) FROM question"), 1, "{change}");
    }
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.keep("a", 1, "one").await;
    running.ask(PARTITION, &asked(&key("tenant:a", 1), "a question")).await;
    running.store.bar(key("tenant:a", 1), vec![1]);
    running.store.flush().await;
    sql(dir.path(), "UPDATE bar SET bytes = x'02'");
    let found = running.partition("tenant:a");
    assert_eq!((found.asked.len(), found.bars), (1, vec![]), "less is known of it");
}

#[tokio::test]
async fn a_file_of_the_first_version_is_taken() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let first = Running::begin(dir.path(), &settings(), &clock).await;
    for number in 1..4 {
        first.keep("a", number, "one").await;
    }
    let before = first.store.stats().database;
    first.store.close(Duration::from_secs(20)).await;
    let back = "DROP TABLE question; DROP TABLE bar; DROP INDEX answer_kept; DROP TRIGGER answer_changes;
        DROP TRIGGER answer_takes; PRAGMA user_version = 1";
    sql(dir.path(), back);
    let second = Running::begin(dir.path(), &settings(), &clock).await;
    assert_eq!((second.store.stats().trouble.as_str(), second.store.stats().database), ("", before));
    assert_eq!(second.body("a", 3).await.unwrap(), "one");
    second.ask(PARTITION, &asked(&key("tenant:a", 3), "a question")).await;
    assert_eq!(second.texts("tenant:a"), ["a question"]);
}

#[tokio::test]
async fn a_damaged_partition_is_told_and_another_file_begun() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let running = Running::begin(dir.path(), &settings(), &clock).await;
    running.keep("a", 1, "one").await;
    running.ask(PARTITION, &asked(&key("tenant:a", 1), "a question")).await;
    running.purge(Purge { entry: Some(key("", 9).name()), ..Purge::default() }).await;
    std::fs::write(dir.path().join("cache.db"), "garbage ".repeat(9_000)).unwrap();
    let why = running.store.partition("tenant:a", &PARTITION, MANY).unwrap_err();
    assert!(why.contains("cache.db"), "{why}");
    running.until("it is put aside", |stats| stats.trouble.contains("cache.db.damaged")).await;
    running.keep("a", 1, "one").await;
    assert_eq!(running.texts("tenant:a"), [""; 0]);
}
