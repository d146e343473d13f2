//! A decision on demand: takes a request's body, sends nothing on, and tells where it would go.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::{HttpRequest, HttpResponse, rt, web};
use domain::lane::Lane;
use domain::surface::Surface;
use serde::Deserialize;
use serde_json::json;

use crate::facts::{Asker, Question};
use crate::{Console, guard, texts};

/// Longest wait for a body.
const BODY_WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Query {
    surface: Option<String>,
    lane: Option<String>,
    #[serde(default)]
    tenant: String,
    key: Option<String>,
    #[serde(default)]
    groups: String,
    #[serde(default)]
    app: String,
    client: Option<IpAddr>,
}

/// Why there is no decision.
struct Trouble(StatusCode, String);

/// `POST /api/v1/explain`.
pub(crate) async fn post<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let decided = match question(&request, payload, console.body_bytes_max()).await {
        Ok(question) => console.explain(&question).map_err(|reason| Trouble(StatusCode::BAD_REQUEST, reason)),
        Err(trouble) => Err(trouble),
    };
    match decided {
        Ok(decision) => HttpResponse::Ok().json(decision),
        Err(Trouble(status, message)) => error(status, &message),
    }
}

/// The answer to other methods.
pub(crate) fn only_post() -> HttpResponse {
    error(StatusCode::METHOD_NOT_ALLOWED, texts::ONLY_POST)
}

async fn question(request: &HttpRequest, payload: web::Payload, bytes_max: usize) -> Result<Question, Trouble> {
    let bad = |reason: String| Trouble(StatusCode::BAD_REQUEST, reason);
    if !guard::is_own_page(request) {
        return Err(Trouble(StatusCode::FORBIDDEN, texts::FOREIGN_PAGE.to_owned()));
    }
    let query = web::Query::<Query>::from_query(request.query_string()).map_err(|error| bad(error.to_string()))?;
    let surface = match query.surface.as_deref() {
        None => Surface::OpenaiChat,
        Some(path) => Surface::ALL
            .into_iter()
            .find(|surface| surface.path() == path)
            .ok_or_else(|| bad(texts::unknown_surface(path)))?,
    };
    let lane = match query.lane.as_deref() {
        None => Lane::default(),
        Some(name) => Lane::of_name(name).ok_or_else(|| bad(texts::unknown_lane(name)))?,
    };
    if request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Trouble(StatusCode::UNSUPPORTED_MEDIA_TYPE, texts::PACKED_BODY.to_owned()));
    }
    let body = match rt::time::timeout(BODY_WAIT_MAX, payload.to_bytes_limited(bytes_max)).await {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => return Err(bad(texts::BROKEN_BODY.to_owned())),
        Ok(Err(_)) => return Err(Trouble(StatusCode::PAYLOAD_TOO_LARGE, texts::too_large(bytes_max))),
        Err(_) => return Err(Trouble(StatusCode::REQUEST_TIMEOUT, texts::SLOW_BODY.to_owned())),
    };
    let Query { tenant, key, groups, app, client, .. } = query.into_inner();
    Ok(Question { surface, lane, body, asker: Asker { tenant, key, groups, app, client } })
}

/// An error in the form that every client of the endpoint knows.
fn error(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": { "message": message, "type": "invalid_request_error" } }))
}
