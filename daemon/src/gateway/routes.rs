//! Which path is which surface.

use actix_web::{HttpRequest, HttpResponse, web};
use domain::surface::Surface;

use super::answer_error::ServeError;
use super::{answer_error, catalogue, ops, serve};

/// All routes of the endpoint.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for surface in Surface::ALL {
        if surface != Surface::OllamaGenerateRaw {
            config.route(
                surface.path(),
                web::post()
                    .to(move |request: HttpRequest, payload: web::Payload| serve::serve(surface, request, payload)),
            );
        }
    }
    config
        .route("/v1/models", web::get().to(catalogue::openai_or_anthropic_list))
        .route("/v1/models/{id:.+}", web::get().to(catalogue::openai_or_anthropic_one))
        .route("/", web::get().to(catalogue::ollama_root))
        .route("/", web::head().to(catalogue::ollama_root))
        .route("/api/version", web::get().to(catalogue::ollama_version))
        .route("/api/tags", web::get().to(catalogue::ollama_tags))
        .route("/api/tags", web::head().to(catalogue::ollama_tags))
        .route("/api/ps", web::get().to(catalogue::ollama_ps))
        .route("/api/show", web::post().to(catalogue::ollama_show))
        .route("/healthz", web::get().to(ops::healthz))
        .route("/readyz", web::get().to(ops::readyz))
        .route("/metrics", web::get().to(ops::metrics))
        .default_service(web::to(not_found));
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    let dialect = answer_error::dialect_of(request.path());
    let error = ServeError::NoSuchPath { method: request.method().to_string(), path: request.path().to_owned() };
    answer_error::respond(&error, dialect, None)
}
