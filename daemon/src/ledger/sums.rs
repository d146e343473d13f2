//! The sums of each day by tenant, model and upstream: brought up to date with every batch, and read for summaries,
//! statements and budgets.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use domain::date::Day;
use domain::ledger::{Entry, EntryId, Line, Sums};
use domain::money::MicroUsd;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::schema::{self, of_day};

/// The columns that [`read`] expects, the first being at place `from`.
const COLUMNS: &str =
    "requests, failed, kept, input, output, cached_read, cache_write, reasoning, cost, saved, unknown";

fn read(row: &Row<'_>, from: usize) -> Result<Sums, rusqlite::Error> {
    let count = |place: usize| row.get::<_, u64>(from + place);
    let money = |place: usize| row.get::<_, i64>(from + place).map(MicroUsd);
    Ok(Sums {
        requests: count(0)?,
        failed: count(1)?,
        kept: count(2)?,
        input: count(3)?,
        output: count(4)?,
        cached_read: count(5)?,
        cache_write: count(6)?,
        reasoning: count(7)?,
        cost: money(8)?,
        saved: money(9)?,
        unknown: count(10)?,
    })
}

/// Whose sums they are: day, tenant, model, upstream.
pub(super) type Whose = (Day, String, String, String);

pub(super) fn whose(day: Day, entry: &Entry) -> Whose {
    (day, entry.tenant.to_string(), entry.answered.to_string(), entry.upstream.to_string())
}

/// Replaces sums by what `change` makes of them.
pub(super) fn change(
    connection: &Connection,
    whose: &Whose,
    change: &dyn Fn(Sums) -> Sums,
) -> Result<(), rusqlite::Error> {
    let (Day(day), tenant, model, upstream) = whose;
    let known = format!("SELECT {COLUMNS} FROM sum WHERE day = ?1 AND tenant = ?2 AND model = ?3 AND upstream = ?4");
    let known = connection.prepare_cached(&known)?.query_row(params![day, tenant, model, upstream], |row| read(row, 0));
    let sums = change(known.optional()?.unwrap_or_default());
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let insert = format!(
        "INSERT OR REPLACE INTO sum (day, tenant, model, upstream, {COLUMNS}) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
    );
    connection.prepare_cached(&insert)?.execute(params![
        day,
        tenant,
        model,
        upstream,
        count(sums.requests),
        count(sums.failed),
        count(sums.kept),
        count(sums.input),
        count(sums.output),
        count(sums.cached_read),
        count(sums.cache_write),
        count(sums.reasoning),
        sums.cost.0,
        sums.saved.0,
        count(sums.unknown),
    ])?;
    Ok(())
}

/// What the days add up to, of one tenant or of all: the dearest line first.
pub(super) fn lines(
    connection: &Connection,
    days: &RangeInclusive<Day>,
    tenant: Option<&str>,
) -> Result<Vec<Line>, rusqlite::Error> {
    let sql = format!(
        "SELECT tenant, model, upstream, {COLUMNS} FROM sum WHERE day BETWEEN ?1 AND ?2 AND (?3 IS NULL OR tenant = ?3)"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![days.start().0, days.end().0, tenant])?;
    // Not added up by SQLite, which fails where a sum overflows.
    let mut all: BTreeMap<(String, String, String), Sums> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let sums = all.entry((row.get(0)?, row.get(1)?, row.get(2)?)).or_default();
        *sums = sums.plus(&read(row, 3)?);
    }
    let line = |((tenant, model, upstream), sums)| Line { tenant, model, upstream, sums };
    let mut lines: Vec<Line> = all.into_iter().map(line).collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.sums.cost, line.sums.requests)));
    Ok(lines)
}

/// What each tenant is known to have spent since a moment, in Unix milliseconds.
///
/// The sums of the whole first day, less what its entries before the moment cost. Where those are gone already it is more
/// than was spent, never less.
pub(super) fn spent_since(
    connection: &Connection,
    since_ms: u64,
) -> Result<BTreeMap<String, MicroUsd>, rusqlite::Error> {
    let first = Day::of_unix_ms(since_ms);
    let mut spent: BTreeMap<String, MicroUsd> = BTreeMap::new();
    let mut select = connection.prepare_cached("SELECT tenant, cost FROM sum WHERE day >= ?1")?;
    let mut rows = select.query([first.0])?;
    while let Some(row) = rows.next()? {
        let sum = spent.entry(row.get(0)?).or_default();
        *sum = sum.plus(MicroUsd(row.get(1)?));
    }
    if since_ms > first.begin_ms() && schema::days(connection)?.contains(&first) {
        for (tenant, amount) in spent_before(connection, first, EntryId::new(since_ms, 0))? {
            let sum = spent.entry(tenant).or_default();
            *sum = sum.minus(amount);
        }
    }
    spent.retain(|_, amount| *amount != MicroUsd::ZERO);
    Ok(spent)
}

/// What the entries of a day before this one cost now.
fn spent_before(connection: &Connection, day: Day, end: EntryId) -> Result<Vec<(String, MicroUsd)>, rusqlite::Error> {
    let mut spent: HashMap<i64, MicroUsd> = HashMap::new();
    // Not grouped by SQLite, which would sort millions of rows for it.
    let mut add = |sql: &str| -> Result<(), rusqlite::Error> {
        let mut select = connection.prepare_cached(&of_day(sql, day))?;
        let mut rows = select.query([end.number()])?;
        while let Some(row) = rows.next()? {
            let sum = spent.entry(row.get(0)?).or_default();
            *sum = sum.plus(MicroUsd(row.get(1)?));
        }
        Ok(())
    };
    add("SELECT face, cost FROM day_DAY WHERE id < ?1 AND cost IS NOT NULL")?;
    // How much more or less a correction made of it, from the one before or from the first cost.
    add("SELECT e.face, f.cost - coalesce(before.cost, e.cost, 0) FROM fix_DAY f JOIN day_DAY e ON e.id = f.entry
        LEFT JOIN fix_DAY before ON before.entry = f.entry AND before.number = f.number - 1 WHERE f.entry < ?1")?;
    let of = |(face, amount)| Ok((super::row::face(connection, day, face)?.tenant.to_string(), amount));
    spent.into_iter().map(of).collect()
}
