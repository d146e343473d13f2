//! The places as JSON: how each upstream and each of its models does.

use actix_web::HttpResponse;

use crate::facts::Places;

/// `GET /api/v1/places`.
pub(crate) fn json(places: &Places) -> HttpResponse {
    HttpResponse::Ok().json(places)
}
