//! The process is killed at random moments: what was said to be written is there, the rest is missing from the end only, and
//! nothing is there twice.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;
use crate::edges::{Clock, SystemClock};

/// Tells the test that it is the child, and where to write.
const FOLDER: &str = "AIRLANE_TEST_LEDGER";
const NAME: &str = "ledger::tests::kills::a_kill_costs_the_last_second_at_most";
const KILLS: u64 = 60;

/// Appends numbered entries at the usual pace of the ledger until it is killed. Says each number, and what is surely written.
fn append_for_ever(dir: &Path, first: u64) -> ! {
    let ledger = Arc::new(Ledger::new(&settings(), dir, Arc::new(SystemClock::new())));
    let writes = ledger.clone();
    std::thread::spawn(move || writes.write());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut out = std::io::stdout();
    for number in first.. {
        ledger.append(entry(ledger.id(), "a", number));
        writeln!(out, "appended {number}").unwrap();
        // Bursts fill a batch, pauses leave one half full.
        if number % 700 == 699 {
            runtime.block_on(ledger.flush());
            writeln!(out, "written {number}").unwrap();
        }
        if number % 7 == 0 {
            std::thread::sleep(Duration::from_micros(number % 11 * 300));
        }
    }
    unreachable!("there are numbers enough")
}

fn begin(dir: &Path, first: u64) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", NAME, "--nocapture"]).env(FOLDER, format!("{first} {}", dir.display()));
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The last number that was appended, and the last that was surely written, when the child was killed after so long.
fn kill_after(dir: &Path, first: u64, wait: Duration) -> (u64, u64) {
    let mut child = begin(dir, first);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut appended, mut written, mut begun) = (first, first, None);
    for line in lines.map_while(Result::ok) {
        let Some((word, number)) = line.split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        match word {
            "appended" => appended = number + 1,
            "written" => written = number + 1,
            _ => continue,
        }
        if begun.get_or_insert_with(Instant::now).elapsed() >= wait {
            // What is in the pipe already is read to its end.
            let _ = child.kill();
        }
    }
    child.wait().unwrap();
    (appended, written)
}

/// Looks at the file with other eyes; gives the number of entries.
fn check(path: &Path) -> u64 {
    let connection = Connection::open(path).unwrap();
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let tables = text("SELECT coalesce(group_concat(name), '') FROM sqlite_schema WHERE name GLOB 'day_*'");
    let (mut all, mut cost) = (Vec::new(), 0);
    for table in tables.split(',').filter(|name| !name.is_empty()) {
        let mut select = connection.prepare(&format!("SELECT output, cost FROM {table} ORDER BY id")).unwrap();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            all.push(row.get::<_, u64>(0).unwrap());
            cost += row.get::<_, i64>(1).unwrap();
        }
    }
    let count = all.len() as u64;
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..count), "each once, and none is missing before the last");
    let sums = "SELECT coalesce(sum(requests), 0), coalesce(sum(cost), 0), coalesce(sum(output), 0) FROM sum";
    let sums: (u64, i64, u64) =
        connection.query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(sums, (count, cost, all.iter().sum()), "the sums are those of the entries");
    count
}

#[test]
fn a_kill_costs_the_last_second_at_most() {
    if let Ok(told) = std::env::var(FOLDER) {
        let (first, dir) = told.split_once(' ').unwrap();
        append_for_ever(Path::new(dir), first.parse().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (mut count, mut missing, mut whole) = (0, Vec::new(), 0);
    let seed = SystemClock::new().unix_ms();
    for round in 0..KILLS {
        // Where in a batch it falls is left to chance.
        let wait = Duration::from_millis((seed + round * 137) % 450);
        let (appended, written) = kill_after(dir.path(), count, wait);
        let found = check(&path);
        // A number may have been appended and not said any more.
        assert!((written..=appended + 1).contains(&found), "{found} of {appended} are there, {written} were written");
        missing.push(appended.saturating_sub(found));
        whole += u64::from(found >= appended);
        count = found;
    }
    missing.sort_unstable();
    eprintln!("{count} entries; missing after a kill: at most {missing:?}; nothing {whole} times");
    assert!(
        count > KILLS * 100 && missing.iter().any(|missing| *missing > 0),
        "it was killed in the middle: {missing:?}"
    );
    assert!(!dir.path().join("ledger.db.damaged").exists());
}
