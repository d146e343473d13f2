//! The ledger as JSON: how it is, its entries, what they add up to, and all of them for programs of others.

use std::ops::RangeInclusive;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::date::{self, Day};
use domain::ledger::{EntryId, Filter, Format, Stats};
use domain::rfc3339;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::facts::{LedgerSummary, RepriceWish};
use crate::pieces::Pieces;
use crate::wish::{Trouble, done, error, let_in, read};
use crate::{Console, texts};

/// Entries of a page unless the query says how many.
const LISTED: usize = 100;

/// `GET /api/v1/ledger`.
pub(crate) fn stats(stats: &Stats) -> HttpResponse {
    HttpResponse::Ok().json(stats)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    tenant: Option<String>,
    model: Option<String>,
    upstream: Option<String>,
    outcome: Option<String>,
    from: Option<String>,
    to: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SummaryQuery {
    day: Option<String>,
    month: Option<String>,
    tenant: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportQuery {
    format: Format,
    tenant: Option<String>,
    model: Option<String>,
    upstream: Option<String>,
    outcome: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// `GET /api/v1/ledger/entries`.
pub(crate) async fn entries<C: Console + 'static>(console: web::Data<C>, request: HttpRequest) -> HttpResponse {
    let asked = query::<PageQuery>(&request).and_then(|query| {
        let PageQuery { tenant, model, upstream, outcome, from, to, after, limit } = query;
        let (from_ms, to_ms) = (from.map(moment).transpose()?, to.map(moment).transpose()?);
        let after = after.map(|name| name.parse::<EntryId>().map_err(bad)).transpose()?;
        Ok((Filter { tenant, model, upstream, outcome, from_ms, to_ms }, after, limit.unwrap_or(LISTED)))
    });
    match asked {
        Ok((filter, after, max)) => done(console.ledger_entries(filter, after, max).await),
        Err(trouble) => trouble.answer(),
    }
}

/// `GET /api/v1/ledger/summary`.
pub(crate) async fn summary<C: Console + 'static>(console: web::Data<C>, request: HttpRequest) -> HttpResponse {
    let asked = query::<SummaryQuery>(&request).and_then(|query| Ok((days(query.day, query.month)?, query.tenant)));
    match asked {
        Ok((days, tenant)) => {
            let (from, to) = (days.start().to_string(), days.end().to_string());
            done(console.ledger_sums(days, tenant).await.map(|lines| LedgerSummary::of(from, to, &lines)))
        }
        Err(trouble) => trouble.answer(),
    }
}

/// `GET /api/v1/ledger/export`.
pub(crate) async fn export<C: Console + 'static>(console: web::Data<C>, request: HttpRequest) -> HttpResponse {
    let asked = query::<ExportQuery>(&request).and_then(|query| {
        let ExportQuery { format, tenant, model, upstream, outcome, from, to } = query;
        let (from_ms, to_ms) = (from.map(moment).transpose()?, to.map(moment).transpose()?);
        Ok((Filter { tenant, model, upstream, outcome, from_ms, to_ms }, format))
    });
    let (filter, format) = match asked {
        Ok(asked) => asked,
        Err(trouble) => return trouble.answer(),
    };
    match Pieces::begin(console.ledger_export(filter, format).await).await {
        Ok(pieces) => HttpResponse::Ok().content_type(format.media_type()).body(pieces),
        Err(reason) => error(StatusCode::CONFLICT, &reason),
    }
}

/// `POST /api/v1/ledger/reprice`.
pub(crate) async fn reprice<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let asked = read::<RepriceWish>(&request, payload).await.and_then(|wish| {
        let RepriceWish { tenant, model, upstream, from, to } = wish;
        let (from_ms, to_ms) = (from.map(moment).transpose()?, to.map(moment).transpose()?);
        Ok(Filter { tenant, model, upstream, outcome: None, from_ms, to_ms })
    });
    match asked {
        Ok(filter) => done(console.reprice(filter).await),
        Err(trouble) => trouble.answer(),
    }
}

/// The query of one of our own pages or of a program.
fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Trouble> {
    let_in(request)?;
    web::Query::<T>::from_query(request.query_string()).map(web::Query::into_inner).map_err(bad)
}

fn bad(reason: impl std::fmt::Display) -> Trouble {
    Trouble::new(StatusCode::BAD_REQUEST, &reason.to_string())
}

/// A moment in Unix milliseconds: written so, as a time (RFC 3339), or as the day that begins with it.
fn moment(text: String) -> Result<u64, Trouble> {
    let number = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let day = || text.parse::<Day>().ok().map(Day::begin_ms);
    // What was a plus sign before the query was read.
    let time = || rfc3339::millis(&text).or_else(|| rfc3339::millis(&text.replace(' ', "+")));
    number().or_else(day).or_else(time).ok_or_else(|| bad(texts::no_moment(&text)))
}

/// The days that are to be summed up.
fn days(day: Option<String>, month: Option<String>) -> Result<RangeInclusive<Day>, Trouble> {
    match (day, month) {
        (Some(day), None) => day.parse().map(|day: Day| day..=day).map_err(bad),
        (None, Some(month)) => date::month(&month).map_err(bad),
        _ => Err(bad(texts::WHICH_DAYS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_three_forms() {
        for (text, want) in [
            ("1764313200000", Some(1_764_313_200_000)),
            ("0", Some(0)),
            ("2025-11-28", Some(1_764_288_000_000)),
            ("2025-11-28T07:00:00Z", Some(1_764_313_200_000)),
            ("2025-11-28T07:00:00.250Z", Some(1_764_313_200_250)),
            ("2025-11-28T08:00:00+01:00", Some(1_764_313_200_000)),
            ("2025-11-28T08:00:00 01:00", Some(1_764_313_200_000)),
            ("yesterday", None),
            ("", None),
            ("-1", None),
            ("99999999999999999999", None),
            ("2025-11-31", None),
        ] {
            assert_eq!(moment(text.to_owned()).ok(), want, "{text}");
        }
    }

    #[test]
    fn a_day_or_a_month_is_named() {
        let some = |text: &str| Some(text.to_owned());
        let range = |first, last| Some(Day(first)..=Day(last));
        for (day, month, want) in [
            (some("2026-11-28"), None, range(20_785, 20_785)),
            (None, some("2026-11"), range(20_758, 20_787)),
            (None, None, None),
            (some("2026-11-28"), some("2026-11"), None),
            (some("2026-11"), None, None),
            (None, some("November"), None),
        ] {
            assert_eq!(days(day.clone(), month.clone()).ok(), want, "{day:?} {month:?}");
        }
    }
}
