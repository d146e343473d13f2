//! Who gives room when there is none: what is over first, then whoever takes most gives what was not asked for the longest.
//! So nobody's flood of questions drives out what others asked.

use rusqlite::{Connection, OptionalExtension, params};

use super::Limits;
use super::schema::SUM_UP;

/// Entries that are looked at together.
const STEP: usize = 128;

/// Throws away what is over; gives the number of entries.
pub(super) fn sweep(connection: &Connection, now_ms: u64) -> Result<usize, rusqlite::Error> {
    let mut all = 0;
    loop {
        let gone = sweep_some(connection, now_ms)?;
        all += gone;
        if gone < STEP {
            return Ok(all);
        }
    }
}

fn sweep_some(connection: &Connection, now_ms: u64) -> Result<usize, rusqlite::Error> {
    let sql = "DELETE FROM answer WHERE id IN (SELECT id FROM answer WHERE over_s < ?1 ORDER BY over_s LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![now_ms / 1_000, STEP])
}

/// Makes room until all limits are kept; gives the number of entries that had to go.
pub(super) fn make_room(connection: &Connection, limits: Limits, now_ms: u64) -> Result<u64, rusqlite::Error> {
    if who_gives(connection, limits)?.is_none() {
        return Ok(0);
    }
    sweep(connection, now_ms)?;
    let (mut evicted, mut is_summed_up) = (0, false);
    while let Some((tenant, bytes)) = who_gives(connection, limits)? {
        let gone = evict(connection, &tenant, bytes)?;
        if gone == 0 && is_summed_up {
            break;
        }
        if gone == 0 {
            // It is said to take something, and has nothing.
            connection.execute_batch(SUM_UP)?;
            is_summed_up = true;
        }
        evicted += gone;
    }
    Ok(evicted)
}

/// The tenant that must give room, and how many bytes at least.
fn who_gives(connection: &Connection, limits: Limits) -> Result<Option<(String, u64)>, rusqlite::Error> {
    let total: i64 =
        connection.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM tenant")?.query_row([], |row| row.get(0))?;
    let most = "SELECT name, bytes FROM tenant ORDER BY bytes DESC LIMIT 1";
    let largest: Option<(String, i64)> =
        connection.prepare_cached(most)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let over = |bytes: i64, max: u64| u64::try_from(bytes).unwrap_or(0).saturating_sub(max);
    Ok(largest.and_then(|(name, bytes)| {
        let too_much = over(total, limits.bytes_max).max(over(bytes, limits.tenant_bytes_max));
        (too_much > 0).then_some((name, too_much))
    }))
}

/// Throws away what of this tenant was not asked for the longest, so many bytes of it; gives the number of entries.
fn evict(connection: &Connection, tenant: &str, bytes: u64) -> Result<u64, rusqlite::Error> {
    let least = "SELECT id, size FROM answer WHERE tenant = ?1 ORDER BY used_h, id LIMIT ?2";
    let mut select = connection.prepare_cached(least)?;
    let rows: Vec<(i64, i64)> =
        select.query_map(params![tenant, STEP], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut delete = connection.prepare_cached("DELETE FROM answer WHERE id = ?1")?;
    let (mut freed, mut gone) = (0, 0);
    for (id, size) in rows {
        if freed >= bytes {
            break;
        }
        gone += delete.execute([id])? as u64;
        freed += u64::try_from(size).unwrap_or(0);
    }
    Ok(gone)
}
