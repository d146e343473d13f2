//! Pages, sums, what was spent, and exports.

use super::*;
use crate::ledger::Export;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Three days with ten entries each, by turns of three tenants.
async fn three_days(dir: &Path) -> (Running, Vec<Entry>) {
    let clock = clock();
    let running = Running::begin(dir, &settings(), &clock).await;
    let mut all = Vec::new();
    for number in 0..30_u64 {
        all.push(running.append(["a", "b", "c"][number as usize % 3], number));
        clock.pass(if number % 10 == 9 { DAY } else { Duration::from_secs(60) });
    }
    running.ledger.flush().await;
    all.reverse();
    (running, all)
}

#[tokio::test]
async fn pages_lead_through_all_days() {
    let dir = tempfile::tempdir().unwrap();
    let (running, all) = three_days(dir.path()).await;
    for max in [1, 3, 10, 29, 30, 31] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = running.ledger.page(&Filter::default(), after, max).unwrap();
            assert!(page.entries.len() <= max);
            found.extend(page.entries);
            let Some(next) = page.next else { break };
            // What comes meanwhile changes nothing of what follows.
            running.append("new", 0);
            running.ledger.flush().await;
            after = Some(next);
        }
        found.retain(|entry| &*entry.tenant != "new");
        assert_eq!(found, all, "{max} a page");
    }
}

#[tokio::test]
async fn pages_hold_what_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (running, all) = three_days(dir.path()).await;
    let failed = Entry {
        outcome: "cancelled".into(),
        upstream: "box".into(),
        answered: "qwen".into(),
        ..entry(running.ledger.id(), "a", 99)
    };
    running.ledger.append(failed.clone());
    running.ledger.flush().await;
    let of_b: Vec<Entry> = all.iter().filter(|entry| &*entry.tenant == "b").cloned().collect();
    let (newest, oldest) = (all[0].id.unix_ms(), all[29].id.unix_ms());
    for (filter, want) in [
        (Filter { tenant: some("b"), ..Filter::default() }, of_b),
        (Filter { tenant: some("nobody"), ..Filter::default() }, vec![]),
        (Filter { outcome: some("cancelled"), ..Filter::default() }, vec![failed.clone()]),
        (Filter { upstream: some("box"), model: some("qwen"), ..Filter::default() }, vec![failed.clone()]),
        (Filter { upstream: some("box"), model: some("gpt"), ..Filter::default() }, vec![]),
        (Filter { model: some("gpt"), ..Filter::default() }, all.clone()),
        (Filter { from_ms: Some(newest), to_ms: Some(newest + 1), ..Filter::default() }, all[..1].to_vec()),
        (Filter { to_ms: Some(oldest + 1), ..Filter::default() }, all[29..].to_vec()),
        (Filter { to_ms: Some(oldest), ..Filter::default() }, vec![]),
        (Filter { from_ms: Some(u64::MAX), ..Filter::default() }, vec![]),
    ] {
        assert_eq!(running.newest(&filter), want, "{filter:?}");
    }
}

#[tokio::test]
async fn sums_of_days_and_months() {
    let dir = tempfile::tempdir().unwrap();
    let (running, all) = three_days(dir.path()).await;
    let mut refused = Entry { upstream: "".into(), answered: "".into(), ..entry(running.ledger.id(), "b", 0) };
    (refused.outcome, refused.usage) = ("budget".into(), Usage::default());
    refused.reckon(None, None);
    running.ledger.append(refused);
    running.ledger.flush().await;
    let first = running.day(today());
    let names: Vec<_> = first.iter().map(|line| (&*line.tenant, &*line.model, &*line.upstream)).collect();
    assert_eq!(names, [("a", "gpt", "cloud"), ("c", "gpt", "cloud"), ("b", "gpt", "cloud")], "the dearest first");
    let sums = first[0].sums;
    assert_eq!((sums.requests, sums.failed, sums.kept, sums.unknown), (4, 0, 0, 0));
    assert_eq!((sums.input, sums.output, sums.cost), (4_000, 3 + 6 + 9, MicroUsd(4_000 + 36)));
    let november = Day::of_month(2026, 11).unwrap();
    let of_b = running.ledger.sums(&november, Some("b")).unwrap();
    assert_eq!(of_b.iter().map(|line| line.sums.requests).sum::<u64>(), 10);
    let december = running.ledger.sums(&Day::of_month(2026, 12).unwrap(), Some("b")).unwrap();
    assert_eq!((&*december[0].upstream, december[0].sums.failed, december[0].sums.unknown), ("", 1, 0));
    let whole = running.ledger.sums(&(Day(0)..=Day::LAST), None).unwrap();
    let cost: MicroUsd = whole.iter().map(|line| line.sums.cost).sum();
    assert_eq!(cost, all.iter().filter_map(Entry::known_cost).sum());
    assert!(running.day(Day(0)).is_empty());
}

#[tokio::test]
async fn what_was_spent_since_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let (running, all) = three_days(dir.path()).await;
    let moments = all.iter().map(|entry| entry.id.unix_ms()).chain([0, NOON_MS + 1, today().begin_ms(), u64::MAX]);
    for since_ms in moments {
        let spent = running.ledger.spent_since(since_ms).unwrap();
        for tenant in ["a", "b", "c"] {
            let after = all.iter().filter(|entry| entry.id.unix_ms() >= since_ms && &*entry.tenant == tenant);
            let want: MicroUsd = after.filter_map(Entry::known_cost).sum();
            assert_eq!(spent.get(tenant).copied().unwrap_or_default(), want, "{tenant} since {since_ms}");
        }
    }
    // The first day's entries are gone: what was spent on it before is counted too, never less.
    let path = dir.path().join("ledger.db");
    Connection::open(path).unwrap().execute_batch("DELETE FROM day_20261128 WHERE id % 2 = 0").unwrap();
    let whole = running.ledger.spent_since(today().begin_ms()).unwrap();
    for entry in &all[20..] {
        let spent = running.ledger.spent_since(entry.id.unix_ms()).unwrap();
        let exact = all.iter().filter(|other| other.id >= entry.id && other.tenant == entry.tenant);
        let exact: MicroUsd = exact.filter_map(Entry::known_cost).sum();
        assert!((exact..=whole[&*entry.tenant]).contains(&spent[&*entry.tenant]));
    }
}

#[tokio::test]
async fn exports_hold_everything_once() {
    let dir = tempfile::tempdir().unwrap();
    let (running, _) = three_days(dir.path()).await;
    for number in 0..1_200 {
        running.append("=many", number);
    }
    running.ledger.flush().await;
    let export = |format| -> String {
        Export::new(running.ledger.clone(), Filter::default(), format).collect::<Result<_, _>>().unwrap()
    };
    let (table, lines) = (export(Format::Csv), export(Format::JsonL));
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0][..3].to_vec()), (1 + 1_230, vec!["id", "time", "tenant"]));
    assert!(rows.iter().all(|row| row.len() == rows[0].len()) && rows[1][2] == "'=many" && table.ends_with("\r\n"));
    let objects: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: std::collections::HashSet<&str> = objects.iter().filter_map(|object| object["id"].as_str()).collect();
    assert_eq!((objects.len(), ids.len()), (1_230, 1_230));
    let newest = &objects[0];
    assert_eq!((&newest["tenant"], &newest["output_tokens"]), (&"=many".into(), &1_199.into()));
    assert_eq!(newest["cost_micro_usd"], 1_000 + 2 * 1_199);
    for (row, object) in rows[1..].iter().zip(&objects) {
        assert_eq!(Some(row[0]), object["id"].as_str());
    }
    let none = Filter { tenant: some("nobody"), ..Filter::default() };
    let empty: Vec<_> = Export::new(running.ledger.clone(), none, Format::Csv).collect();
    assert!(empty.len() == 1 && empty[0].as_ref().unwrap().lines().count() == 1, "the names alone");
    running.close().await;
    let mut ill = Export::new(running.ledger.clone(), Filter::default(), Format::Csv);
    assert!(ill.next().unwrap().unwrap_err().contains("not open") && ill.next().is_none());
}
