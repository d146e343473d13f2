//! The ledger in words and columns.

use std::fmt::Write as _;

use domain::ledger::Stats;
use domain::money::MicroUsd;
use serde::Deserialize;
use webui::{LedgerSummary, LedgerSums};

/// What is shown of an entry.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Shown {
    id: String,
    time: String,
    tenant: Option<String>,
    model: Option<String>,
    upstream: Option<String>,
    answered_by: Option<String>,
    outcome: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_micro_usd: Option<i64>,
    is_cost_complete: bool,
}

pub(super) fn stats(stats: &Stats) -> String {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1_048_576.0);
    let mut out = format!(
        "written   {} since the start, {} wait, {} are lost\nroom      {} of {}\n",
        requests(stats.written),
        stats.spooled,
        stats.lost,
        mib(stats.bytes),
        mib(stats.bytes_max)
    );
    if !stats.trouble.is_empty() {
        // Writing into a String does not fail.
        let _ = writeln!(out, "trouble   {}", stats.trouble);
    }
    out
}

/// A line for each, the newest first.
pub(super) fn list(shown: &[Shown]) -> String {
    let rows = shown.iter().map(|entry| {
        // Seconds are enough for people.
        let time = entry.time.get(..19).unwrap_or(&entry.time).replace('T', " ");
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
        let count = |tokens: Option<u64>| tokens.map_or_else(|| "?".to_owned(), grouped);
        vec![
            entry.id.clone(),
            time,
            word(&entry.tenant),
            target(entry),
            word(&entry.outcome),
            count(entry.input_tokens),
            count(entry.output_tokens),
            cost(entry.cost_micro_usd, u64::from(!entry.is_cost_complete)),
        ]
    });
    let head = ["name", "time (UTC)", "tenant", "model", "outcome", "input", "output", "cost"];
    columns(&head, &[5, 6, 7], rows.collect())
}

/// Like `fast: gpt-4o at cloud`.
fn target(entry: &Shown) -> String {
    let asked = entry.model.as_deref().unwrap_or("-");
    let answered = entry.answered_by.as_deref().filter(|answered| *answered != asked);
    match (answered, entry.upstream.as_deref()) {
        (_, None) => asked.to_owned(),
        (None, Some(upstream)) => format!("{asked} at {upstream}"),
        (Some(answered), Some(upstream)) => format!("{asked}: {answered} at {upstream}"),
    }
}

/// All tenants of a day or of a month.
pub(super) fn summary(summary: &LedgerSummary) -> String {
    let when = period(summary);
    if summary.total.requests == 0 {
        return format!("nothing was asked {when}\n");
    }
    let rows = summary.lines.iter().map(|line| {
        let mut row = vec![or_dash(&line.tenant), or_dash(&line.model), or_dash(&line.upstream)];
        row.extend(sums(&line.sums));
        row
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    let mut total = vec!["all".to_owned(), String::new(), String::new()];
    total.extend(sums(&summary.total));
    rows.push(total);
    let head = ["tenant", "model", "upstream", "requests", "input", "output", "cost"];
    columns(&head, &[3, 4, 5, 6], rows) + &notes(summary)
}

/// What one tenant used in a month.
pub(super) fn statement(tenant: &str, summary: &LedgerSummary) -> String {
    let when = period(summary);
    if summary.total.requests == 0 {
        return format!("{tenant} asked for nothing {when}\n");
    }
    let rows = summary.lines.iter().map(|line| {
        let mut row = vec![or_dash(&line.model), or_dash(&line.upstream)];
        row.extend(sums(&line.sums));
        row
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    let mut total = vec!["total".to_owned(), String::new()];
    total.extend(sums(&summary.total));
    rows.push(total);
    let head = ["model", "upstream", "requests", "input", "output", "cost"];
    let table = columns(&head, &[2, 3, 4, 5], rows);
    format!("Statement for {tenant}, {when}\n\n{table}{}", notes(summary))
}

/// In UTC, as days are in the ledger.
fn period(summary: &LedgerSummary) -> String {
    if summary.from == summary.to {
        format!("on {} (UTC)", summary.from)
    } else {
        format!("from {} to {} (UTC)", summary.from, summary.to)
    }
}

fn sums(sums: &LedgerSums) -> [String; 4] {
    [
        grouped(sums.requests),
        grouped(sums.input_tokens),
        grouped(sums.output_tokens),
        cost(sums.cost_micro_usd, sums.unknown_cost),
    ]
}

/// What the columns do not say.
fn notes(summary: &LedgerSummary) -> String {
    let (total, mut out) = (&summary.total, String::new());
    if total.kept > 0 {
        let _ = writeln!(out, "answered from before, for nothing: {}", requests(total.kept));
    }
    if total.failed > 0 {
        let _ = writeln!(out, "failed or cancelled: {}", requests(total.failed));
    }
    if total.unknown_cost > 0 {
        let _ = writeln!(out, "the cost is unknown, or not all of it known: {}", requests(total.unknown_cost));
    }
    if total.saved_micro_usd != 0 {
        let saved = MicroUsd(total.saved_micro_usd);
        let _ = writeln!(out, "saved against the models that the policies compare with: {}", dollars(saved));
    }
    if summary.lines_left_out > 0 {
        let _ = writeln!(out, "{} more lines are in the total only", grouped(summary.lines_left_out));
    }
    out
}

/// An amount of which that of so many requests is missing.
fn cost(micro_usd: Option<i64>, unknown: u64) -> String {
    match (micro_usd.map(MicroUsd), unknown) {
        (None, _) => "unknown".to_owned(),
        (Some(amount), 0) => dollars(amount),
        (Some(amount), _) => format!("at least {}", dollars(amount)),
    }
}

/// With all decimals that it has, and two at least, so that lines add up to their total.
fn dollars(amount: MicroUsd) -> String {
    let text = amount.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let (cents, rest) = decimals.split_at_checked(2).unwrap_or((decimals, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    format!("{sign}${whole}.{cents}{}", rest.trim_end_matches('0'))
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{} requests", grouped(count)) }
}

fn or_dash(word: &str) -> String {
    if word.is_empty() { "-".to_owned() } else { word.to_owned() }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows under a head; the columns with these numbers stand to the right.
fn columns(head: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let head = head.iter().map(|&word| word.to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut out = String::new();
    for row in &all {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column).unwrap_or(0);
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use webui::LedgerLine;

    #[test]
    fn money_is_exact() {
        for (micros, want) in [
            (0, "$0.00"),
            (1, "$0.000001"),
            (1_400, "$0.0014"),
            (500_000, "$0.50"),
            (12_345_678, "$12.345678"),
            (-1_500_000, "-$1.50"),
            (1_234_567_000_000, "$1,234,567.00"),
        ] {
            assert_eq!(dollars(MicroUsd(micros)), want);
        }
        assert_eq!([cost(None, 3), cost(Some(5_000), 1), cost(Some(0), 0)], ["unknown", "at least $0.005", "$0.00"]);
    }

    #[test]
    fn the_ledger_says_how_it_does() {
        let all = Stats {
            trouble: "the disk is full".to_owned(),
            spooled: 3,
            written: 1,
            lost: 2,
            bytes: 3 << 19,
            bytes_max: 512 << 20,
        };
        let want = "written   1 request since the start, 3 wait, 2 are lost\n\
                    room      1.5 MiB of 512.0 MiB\n\
                    trouble   the disk is full\n";
        assert_eq!(stats(&all), want);
        assert!(!stats(&Stats::default()).contains("trouble"));
    }

    #[test]
    fn requests_are_listed_in_columns() {
        let entry = |text: &str| serde_json::from_str::<Shown>(text).unwrap();
        let some = |text: &str| Some(text.to_owned());
        let full = entry(
            r#"{"id":"18ef0c0ffee00007","time":"2026-11-28T12:00:09.250000000Z","tenant":"anna","model":"fast","upstream":"cloud",
            "answered_by":"gpt-4o","outcome":"ok","input_tokens":12000,"output_tokens":7,"cost_micro_usd":1400,
            "is_cost_complete":true,"prices":"more is not shown"}"#,
        );
        let same = Shown { answered_by: some("fast"), is_cost_complete: false, ..full.clone() };
        let blank = Shown {
            tenant: None,
            upstream: None,
            answered_by: None,
            outcome: some("refused"),
            input_tokens: None,
            output_tokens: None,
            cost_micro_usd: None,
            is_cost_complete: false,
            ..full.clone()
        };
        let want = "\
name              time (UTC)           tenant  model                  outcome   input  output              cost
18ef0c0ffee00007  2026-11-28 12:00:09  anna    fast: gpt-4o at cloud  ok       12,000       7           $0.0014
18ef0c0ffee00007  2026-11-28 12:00:09  anna    fast at cloud          ok       12,000       7  at least $0.0014
18ef0c0ffee00007  2026-11-28 12:00:09  -       fast                   refused       ?       ?           unknown
";
        assert_eq!(list(&[full, same, blank]), want);
    }

    fn november() -> LedgerSummary {
        let line = |tenant: &str, model: &str, upstream: &str, sums| LedgerLine {
            tenant: tenant.to_owned(),
            model: model.to_owned(),
            upstream: upstream.to_owned(),
            sums,
        };
        let cloud = LedgerSums {
            requests: 1_200,
            kept: 12,
            input_tokens: 34_000,
            output_tokens: 5_600,
            cost_micro_usd: Some(1_234_500),
            ..LedgerSums::default()
        };
        let own = LedgerSums { requests: 1, failed: 1, unknown_cost: 1, cost_micro_usd: None, ..LedgerSums::default() };
        let total = LedgerSums { requests: 1_201, failed: 1, unknown_cost: 1, saved_micro_usd: -20_000, ..cloud };
        LedgerSummary {
            from: "2026-11-01".to_owned(),
            to: "2026-11-30".to_owned(),
            lines: vec![line("anna", "gpt-4o", "cloud", cloud), line("", "qwen3", "gpu-box", own)],
            lines_left_out: 0,
            total,
        }
    }

    #[test]
    fn a_month_is_summed_up() {
        let want = "\
tenant  model   upstream  requests   input  output              cost
anna    gpt-4o  cloud        1,200  34,000   5,600           $1.2345
-       qwen3   gpu-box          1       0       0           unknown
all                          1,201  34,000   5,600  at least $1.2345
answered from before, for nothing: 12 requests
failed or cancelled: 1 request
the cost is unknown, or not all of it known: 1 request
saved against the models that the policies compare with: -$0.02
";
        assert_eq!(summary(&november()), want);
        let day = "2026-11-28".to_owned();
        let none = LedgerSummary { from: day.clone(), to: day, ..LedgerSummary::default() };
        assert_eq!(summary(&none), "nothing was asked on 2026-11-28 (UTC)\n");
        let many = LedgerSummary { lines_left_out: 2_000, ..november() };
        assert!(summary(&many).ends_with("2,000 more lines are in the total only\n"));
    }

    #[test]
    fn a_statement_is_for_one_tenant() {
        let text = statement("anna", &november());
        let want = "Statement for anna, from 2026-11-01 to 2026-11-30 (UTC)\n\n\
                    model   upstream  requests   input  output              cost\n\
                    gpt-4o  cloud        1,200  34,000   5,600           $1.2345\n";
        assert!(text.starts_with(want), "{text}");
        let none = LedgerSummary { total: LedgerSums::default(), ..november() };
        assert_eq!(statement("bert", &none), "bert asked for nothing from 2026-11-01 to 2026-11-30 (UTC)\n");
    }
}
