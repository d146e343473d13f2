//! Health, readiness and metrics.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use actix_web::{HttpRequest, HttpResponse};

use domain::surface::Dialect;

use super::answer_error::respond;
use super::{Gateway, guard};

/// The process answers.
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// Requests can be served; not so while starting and draining.
pub(super) async fn readyz(request: HttpRequest) -> HttpResponse {
    let ready = request.app_data::<Rc<Gateway>>().is_some_and(|gateway| gateway.ready.load(Ordering::Relaxed));
    if ready {
        HttpResponse::Ok().content_type("text/plain").body("ready\n")
    } else {
        HttpResponse::ServiceUnavailable().content_type("text/plain").body("starting or stopping\n")
    }
}

/// Everything that is counted, for Prometheus.
pub(super) async fn metrics(request: HttpRequest) -> HttpResponse {
    let Some(gateway) = request.app_data::<Rc<Gateway>>() else {
        return HttpResponse::InternalServerError().finish();
    };
    let snapshot = gateway.live.now();
    // The names of models and upstreams are nothing for strangers.
    if let Err(refusal) = guard::check(&request, &snapshot.config.endpoint) {
        return respond(&refusal.into(), Dialect::Openai, None);
    }
    let names = snapshot.config.upstreams.iter().map(|upstream| upstream.name.as_str());
    let states: Vec<_> = gateway
        .dispatcher
        .with(|dispatch, now| names.map(|name| (name, dispatch.places.standing(name, now).state)).collect());
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(gateway.metrics.text(&gateway.live.nodes(), &states, &gateway.cache.stats()))
}
