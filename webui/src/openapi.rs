//! The API's own description: a document that is kept by hand, and by tests that hold it against the answers.

use actix_web::HttpResponse;

/// OpenAPI 3.1.
pub(crate) const DOCUMENT: &str = include_str!("../assets/openapi.json");

/// `GET /api/v1/openapi.json`.
pub(crate) fn json() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(DOCUMENT)
}
