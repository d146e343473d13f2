//! The lists of models, in each dialect's form.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use domain::catalogue::Listed;
use domain::refusal::Refusal;
use domain::surface::Dialect;
use wire::json::Object;

use super::admit::admit;
use super::answer_error::{ServeError, respond};
use super::{Gateway, forward, read};
use crate::live::Snapshot;

/// The Ollama version whose API this is: clients refuse to talk to older ones.
const OLLAMA_VERSION: &str = "0.12.6";

/// `GET /v1/models`: Anthropic's clients tell themselves by their version header.
pub(super) async fn openai_or_anthropic_list(request: HttpRequest) -> HttpResponse {
    let dialect = list_dialect(&request);
    let snapshot = match enter(&request).await {
        Ok((_, snapshot)) => snapshot,
        Err(error) => return respond(&error, dialect, None),
    };
    let shared: Vec<Listed>;
    let listed = if forward::hops(request.headers()) > 0 {
        // Another Airlane asks.
        shared = snapshot.catalogue.shared(&snapshot.config).cloned().collect();
        &shared
    } else {
        snapshot.catalogue.listed()
    };
    json(
        &request,
        match dialect {
            Dialect::Anthropic => wire::anthropic::models::encode_list(listed),
            Dialect::Openai | Dialect::Ollama => wire::openai::models::encode_list(listed),
        },
    )
}

/// `GET /v1/models/{id}`
pub(super) async fn openai_or_anthropic_one(request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    let dialect = list_dialect(&request);
    let found = enter(&request).await.and_then(|(_, snapshot)| find(&snapshot, &id));
    match found {
        Err(error) => respond(&error, dialect, None),
        Ok(listed) => json(
            &request,
            match dialect {
                Dialect::Anthropic => wire::anthropic::models::encode_one(&listed),
                Dialect::Openai | Dialect::Ollama => wire::openai::models::encode_one(&listed),
            },
        ),
    }
}

/// `GET /` and `HEAD /`: how Ollama's clients look whether it is there.
pub(super) async fn ollama_root() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("Ollama is running")
}

/// `GET /api/version`
pub(super) async fn ollama_version(request: HttpRequest) -> HttpResponse {
    json(&request, format!("{{\"version\":\"{OLLAMA_VERSION}\"}}").into_bytes())
}

/// `GET /api/tags`
pub(super) async fn ollama_tags(request: HttpRequest) -> HttpResponse {
    match enter(&request).await {
        Ok((_, snapshot)) => json(&request, wire::ollama::models::encode_tags(snapshot.catalogue.listed())),
        Err(error) => respond(&error, Dialect::Ollama, None),
    }
}

/// `GET /api/ps`: what is in memory, as far as upstreams tell.
pub(super) async fn ollama_ps(request: HttpRequest) -> HttpResponse {
    match enter(&request).await {
        Ok((_, snapshot)) => {
            let listed = snapshot.catalogue.listed().iter();
            let loaded: Vec<Listed> = listed.filter(|listed| listed.info.loaded == Some(true)).cloned().collect();
            json(&request, wire::ollama::models::encode_ps(&loaded))
        }
        Err(error) => respond(&error, Dialect::Ollama, None),
    }
}

/// `POST /api/show`
pub(super) async fn ollama_show(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    match show(&request, payload).await {
        Ok(listed) => json(&request, wire::ollama::models::encode_show(&listed)),
        Err(error) => respond(&error, Dialect::Ollama, None),
    }
}

/// Largest body of a question for one model.
const QUESTION_BYTES_MAX: usize = 64 * 1024;

async fn show(request: &HttpRequest, payload: web::Payload) -> Result<Listed, ServeError> {
    let (_, snapshot) = enter(request).await?;
    let silence_max = snapshot.config.endpoint.client_timeout;
    let body: Bytes = read::body(request, payload, QUESTION_BYTES_MAX, silence_max).await?;
    let object = Object::parse(&body)?;
    let name: String = match object.get("model")? {
        Some(name) => name,
        None => object.need("name")?,
    };
    find(&snapshot, &name)
}

async fn enter(request: &HttpRequest) -> Result<(Rc<Gateway>, Arc<Snapshot>), ServeError> {
    let gateway = request.app_data::<Rc<Gateway>>().cloned();
    let Some(gateway) = gateway else { return Err(Refusal::NoModelNamed.into()) };
    let snapshot = gateway.live.now();
    admit(request, &gateway, &snapshot.config.endpoint).await?;
    Ok((gateway, snapshot))
}

fn find(snapshot: &Snapshot, name: &str) -> Result<Listed, ServeError> {
    let line = snapshot.catalogue.line(name).cloned();
    line.ok_or_else(|| Refusal::UnknownModel { model: name.to_owned(), near: snapshot.catalogue.near(name) }.into())
}

fn list_dialect(request: &HttpRequest) -> Dialect {
    if request.headers().contains_key("anthropic-version") { Dialect::Anthropic } else { Dialect::Openai }
}

fn json(request: &HttpRequest, body: Vec<u8>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(gateway) = request.app_data::<Rc<Gateway>>() {
        response.insert_header(("x-request-id", forward::request_id_or_new(request.headers(), gateway)));
    }
    response.content_type("application/json").body(body)
}
