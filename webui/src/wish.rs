//! What the owner wishes for with POST: read for our own pages and for programs of this machine only.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, rt, web};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{guard, texts};

/// Largest body of a wish.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for a body.
const BODY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Why a wish is not even read.
pub(crate) struct Trouble(StatusCode, String);

impl Trouble {
    pub(crate) fn new(status: StatusCode, reason: &str) -> Self {
        Self(status, reason.to_owned())
    }

    pub(crate) fn answer(self) -> HttpResponse {
        error(self.0, &self.1)
    }
}

/// The answer to other methods.
pub(crate) fn only_post() -> HttpResponse {
    error(StatusCode::METHOD_NOT_ALLOWED, texts::ONLY_POST)
}

/// Whether no other site's page asks.
pub(crate) fn let_in(request: &HttpRequest) -> Result<(), Trouble> {
    if guard::is_own_page(request) {
        Ok(())
    } else {
        Err(Trouble(StatusCode::FORBIDDEN, texts::FOREIGN_PAGE.to_owned()))
    }
}

/// The body, which is JSON.
pub(crate) async fn read<T: DeserializeOwned>(request: &HttpRequest, payload: web::Payload) -> Result<T, Trouble> {
    let_in(request)?;
    let bad = |reason: &str| Trouble(StatusCode::BAD_REQUEST, reason.to_owned());
    match rt::time::timeout(BODY_WAIT_MAX, payload.to_bytes_limited(BODY_BYTES_MAX)).await {
        Ok(Ok(Ok(body))) => serde_json::from_slice(&body).map_err(|reason| bad(&reason.to_string())),
        Ok(_) => Err(bad(texts::BROKEN_BODY)),
        Err(_) => Err(bad(texts::SLOW_BODY)),
    }
}

/// What came of a wish, or a sentence that says why nothing did.
pub(crate) fn done<T: Serialize>(result: Result<T, String>) -> HttpResponse {
    match result {
        Ok(done) => HttpResponse::Ok().json(done),
        Err(reason) => error(StatusCode::CONFLICT, &reason),
    }
}

/// An error in the form that every client of the endpoint knows.
pub(crate) fn error(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": { "message": message, "type": "invalid_request_error" } }))
}
