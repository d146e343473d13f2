//! The database of kept answers with a million entries: what one takes, how long a look-up and a cold start take.
//!
//! `cargo bench -p airlane-tests --bench kept [-- --quick]` prints a table and writes `target/bench/kept.json`. It measures the
//! daemon's own room, without the network around it.

#[allow(dead_code, unused_imports, unreachable_pub, clippy::allow_attributes, reason = "the daemon uses more of it")]
#[path = "../../../daemon/src/edges.rs"]
mod edges;
#[allow(dead_code, unused_imports, unreachable_pub, clippy::allow_attributes, reason = "the daemon uses more of it")]
#[path = "../../../daemon/src/sqlite/mod.rs"]
mod sqlite;
#[allow(dead_code, unused_imports, unreachable_pub, clippy::allow_attributes, reason = "the daemon uses more of it")]
#[path = "../../../daemon/src/store/mod.rs"]
mod store;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::cache::{Entry, Key, Settings};
use domain::catalogue::Target;
use domain::surface::Surface;
use ring::digest::{SHA256, digest};
use serde_json::json;

use edges::{Clock as _, SystemClock};
use store::Store;

const USAGE: &str = "cargo bench -p airlane-tests --bench kept -- [--quick] [--entries N] [--bytes N] [--dir DIR]

  --quick       ten thousand entries: is everything in its place?
  --entries N   entries (default 1000000)
  --bytes N     length of the text of each answer (default 1200)
  --dir DIR     where the file is made (default: a temporary folder)";

struct Arguments {
    entries: u64,
    bytes: usize,
    dir: Option<PathBuf>,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut found = Arguments { entries: 1_000_000, bytes: 1_200, dir: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => found.entries = 10_000,
            "--entries" => found.entries = value()?.parse().map_err(|_| "--entries needs a number".to_owned())?,
            "--bytes" => found.bytes = value()?.parse().map_err(|_| "--bytes needs a number".to_owned())?,
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

async fn measure(arguments: &Arguments) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let temporary = tempfile::tempdir().map_err(text)?;
    let dir = arguments.dir.as_deref().unwrap_or(temporary.path());
    let file = dir.join("cache.db");
    let began = Instant::now();
    let store = begin(dir);
    let said = fill(&store, arguments).await;
    store.close(Duration::from_secs(600)).await;
    let (filled, bytes) = (began.elapsed(), std::fs::metadata(&file).map_err(text)?.len());
    println!("{} entries in {:.0} s, of {said} bytes each unpacked", arguments.entries, filled.as_secs_f64());
    println!("file         {:.0} MiB, {} bytes an entry", bytes as f64 / 1_048_576.0, bytes / arguments.entries);
    let counted = store.stats().database.bytes;
    println!("as counted   {} bytes an entry", counted / arguments.entries);
    forget(&file).map_err(text)?;
    let began = Instant::now();
    let store = begin(dir);
    while store.find(&key(0)).await.is_none() {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let start = began.elapsed();
    println!("cold start   {:.1} ms to the first answer from the file", millis(start));
    std::io::copy(&mut File::open(&file).map_err(text)?, &mut std::io::sink()).map_err(text)?;
    let (times, late) = look_up(&store, arguments.entries).await;
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(at);
    let (half, most, nearly_all) = (millis(half), millis(most), millis(nearly_all));
    println!(
        "look-up      p50 {half:.3} ms, p99 {most:.3} ms, p99.9 {nearly_all:.3} ms; late {late} of {}",
        times.len()
    );
    let report = json!({
        "entries": arguments.entries, "answer_bytes": said, "file_bytes": bytes, "counted_bytes": counted,
        "fill_s": filled.as_secs_f64(), "cold_start_ms": millis(start), "look_up_p50_ms": half,
        "look_up_p99_ms": most, "look_up_p999_ms": nearly_all, "look_ups_late": late,
    });
    let path = airlane_tests::programs::repository().join("target/bench");
    std::fs::create_dir_all(&path).map_err(text)?;
    std::fs::write(path.join("kept.json"), format!("{report:#}\n")).map_err(text)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The database in `dir`, at work.
fn begin(dir: &Path) -> Arc<Store> {
    let settings = Settings { disk_max_bytes: 1 << 40, tenant_share: 100, ..Settings::default() };
    let store = Arc::new(Store::new(&settings, dir, Arc::new(SystemClock::new())));
    let (writes, reads) = (store.clone(), store.clone());
    std::thread::spawn(move || writes.write());
    std::thread::spawn(move || reads.read());
    store
}

/// A digest says nothing of where the next one stands: neither do these.
fn key(number: u64) -> Key {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, &number.to_le_bytes()).as_ref());
    Key { scope: format!("tenant:192.168.1.{}", number % 50).into(), digest: bytes }
}

/// Fills it; gives the bytes of one answer.
async fn fill(store: &Store, arguments: &Arguments) -> usize {
    let (clock, mut said) = (SystemClock::new(), 0);
    for number in 0..arguments.entries {
        let body = answer(number, arguments.bytes);
        said = body.len();
        let entry = Arc::new(Entry {
            surface: Surface::OpenaiChat,
            body: body.into(),
            target: Target::new("gpu-box", "qwen3:8b"),
            model: "fast".into(),
            tenant: format!("192.168.1.{}", number % 50).into(),
            head: "You are a helpful assistant. Answer in one sentence: what is the capital of".into(),
            kept_ms: clock.unix_ms(),
            ttl: Duration::from_secs(86_400 * 30),
        });
        // When the queue is full it is given again.
        loop {
            let refused = store.stats().unwritten;
            store.keep(key(number), entry.clone(), || true);
            if store.stats().unwritten == refused {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    said
}

/// An answer as servers give it, with a text of words that come as often as words do.
fn answer(number: u64, bytes: usize) -> String {
    const WORDS: &str = "the of and to in is that for it as was with be by on not he this are or his from at which but \
        have an had they you were their one all we can her has there been if more when will would who so no out up into \
        them then she many some what about other time these two may first than its now people only over any could new \
        our made also did must before back see through way where get much go well your know should down work year each \
        because very long even between being under world house still place water those while thought great light \
        country answer question number model network router packet memory cache seconds tokens window context";
    let words: Vec<&str> = WORDS.split(' ').filter(|word| !word.is_empty()).collect();
    let (mut state, mut text) = (number | 1 << 40, String::with_capacity(bytes + 12));
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (state >> 33) as usize;
        text.push_str(words[(random % words.len()) * (random / 1_000 % words.len()) / words.len()]);
        text.push(' ');
    }
    format!(
        r#"{{"id":"chatcmpl-{state:016x}","object":"chat.completion","created":1795823203,"model":"qwen3:8b","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":40,"completion_tokens":250,"total_tokens":290}}}}"#
    )
}

/// The system forgets what it knows of the file, as after a night.
fn forget(file: &Path) -> std::io::Result<()> {
    let file = File::open(file)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

/// Looks entries up in no order; the sorted times, and how many were late.
async fn look_up(store: &Store, entries: u64) -> (Vec<Duration>, u64) {
    let (mut times, mut late) = (Vec::new(), 0);
    for step in 0..50_000_u64 {
        let key = key(step.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries);
        let began = Instant::now();
        let found = store.find(&key).await;
        times.push(began.elapsed());
        if found.is_none() {
            // It was late; while the thread is busy with it, the next ones would be misses at once.
            late += 1;
            while store.find(&key).await.is_none() {
                assert!(began.elapsed() < Duration::from_secs(60), "an entry is gone");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    times.sort_unstable();
    (times, late)
}
