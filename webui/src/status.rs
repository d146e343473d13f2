//! The JSON status: the same facts as the overview page, for programs.

use actix_web::HttpResponse;

use crate::facts::Overview;

/// `GET /api/v1/status`.
pub(crate) fn json(house: &Overview) -> HttpResponse {
    HttpResponse::Ok().json(house)
}
