//! Which path is which surface.

use actix_web::{HttpRequest, HttpResponse, Resource, web};
use domain::surface::Surface;

use super::answer_error::{ServeError, dialect_of, respond};
use super::{catalogue, ops, serve};

/// All routes of the endpoint.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    // The raw form is told by the body, not by the path.
    for surface in Surface::ALL.into_iter().filter(|surface| *surface != Surface::OllamaGenerateRaw) {
        let handler = move |request: HttpRequest, payload: web::Payload| serve::serve(surface, request, payload);
        config.service(resource(surface.path()).route(web::post().to(handler)));
    }
    config
        .service(resource("/v1/models").route(web::get().to(catalogue::openai_or_anthropic_list)))
        .service(resource("/v1/models/{id:.+}").route(web::get().to(catalogue::openai_or_anthropic_one)))
        .service(both("/", catalogue::ollama_root))
        .service(both("/api/version", catalogue::ollama_version))
        .service(both("/api/tags", catalogue::ollama_tags))
        .service(both("/api/ps", catalogue::ollama_ps))
        .service(resource("/api/show").route(web::post().to(catalogue::ollama_show)))
        .service(both("/healthz", ops::healthz))
        .service(both("/readyz", ops::readyz))
        .service(resource("/metrics").route(web::get().to(ops::metrics)))
        .default_service(web::to(no_such_path));
}

fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(no_such_method))
}

/// For GET and for the HEAD of those who only look whether it is there.
fn both<F, Args>(path: &str, handler: F) -> Resource
where
    F: actix_web::Handler<Args> + Clone,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    resource(path).route(web::get().to(handler.clone())).route(web::head().to(handler))
}

async fn no_such_method(request: HttpRequest) -> HttpResponse {
    let error = ServeError::NoSuchMethod { method: request.method().to_string(), path: request.path().to_owned() };
    respond(&error, dialect_of(request.path()), None)
}

async fn no_such_path(request: HttpRequest) -> HttpResponse {
    let error = ServeError::NoSuchPath { method: request.method().to_string(), path: request.path().to_owned() };
    respond(&error, dialect_of(request.path()), None)
}
