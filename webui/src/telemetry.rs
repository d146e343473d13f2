//! The telemetry as JSON: cards and machine as they were last read, for programs.

use actix_web::HttpResponse;
use domain::telemetry::Telemetry;

/// `GET /api/v1/telemetry`.
pub(crate) fn json(telemetry: &Telemetry) -> HttpResponse {
    HttpResponse::Ok().json(telemetry)
}
