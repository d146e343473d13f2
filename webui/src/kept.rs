//! Kept answers as JSON: how many there are, what they are about, and which are to be thrown away. No answer is shown.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::cache::{Purge, Stats};
use serde::Deserialize;

use crate::Console;
use crate::facts::{CacheEntries, WrongAnswer};
use crate::wish::{done, error, let_in, read};

/// Entries that are listed unless the query says how many.
const LISTED: usize = 100;

/// Which entries are listed: as for a purge, and how many.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    tenant: Option<String>,
    model: Option<String>,
    older_than_s: Option<u64>,
    prefix: Option<String>,
    entry: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/cache`.
pub(crate) fn stats(stats: &Stats) -> HttpResponse {
    HttpResponse::Ok().json(stats)
}

/// `GET /api/v1/cache/entries`.
pub(crate) async fn entries<C: Console + 'static>(console: web::Data<C>, request: HttpRequest) -> HttpResponse {
    if let Err(trouble) = let_in(&request) {
        return trouble.answer();
    }
    let query = match web::Query::<Query>::from_query(request.query_string()) {
        Ok(query) => query.into_inner(),
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason.to_string()),
    };
    let Query { tenant, model, older_than_s, prefix, entry, limit } = query;
    let filter = Purge { all: false, tenant, model, older_than_s, prefix, entry };
    done(console.cache_entries(filter, limit.unwrap_or(LISTED)).await.map(|entries| CacheEntries { entries }))
}

/// `POST /api/v1/cache/purge`.
pub(crate) async fn purge<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let purge: Purge = match read(&request, payload).await {
        Ok(purge) => purge,
        Err(trouble) => return trouble.answer(),
    };
    if let Err(reason) = purge.check() {
        return error(StatusCode::BAD_REQUEST, &reason);
    }
    done(console.purge_cache(purge).await)
}

/// `POST /api/v1/cache/wrong`.
pub(crate) async fn wrong<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let wrong: WrongAnswer = match read(&request, payload).await {
        Ok(wrong) => wrong,
        Err(trouble) => return trouble.answer(),
    };
    done(console.wrong_answer(&wrong.request_id).map(|()| wrong))
}
