//! The machines of the house as JSON, and what the owner does with them. What changes something is done for our own pages
//! and for programs of this machine only.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, rt, web};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::facts::{NodeName, Nodes, PairWish, PairingCode};
use crate::{Console, guard, texts};

/// Largest body of a wish.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// Longest wait for a body.
const BODY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Why a wish is not even read.
struct Trouble(StatusCode, String);

impl Trouble {
    fn answer(self) -> HttpResponse {
        error(self.0, &self.1)
    }
}

/// `GET /api/v1/nodes`.
pub(crate) fn json(nodes: &Nodes) -> HttpResponse {
    HttpResponse::Ok().json(nodes)
}

/// `POST /api/v1/nodes/find`.
pub(crate) async fn find<C: Console + 'static>(console: web::Data<C>, request: HttpRequest) -> HttpResponse {
    if let Err(trouble) = let_in(&request) {
        return trouble.answer();
    }
    match console.find_nodes().await {
        Ok(found) => HttpResponse::Ok().json(found),
        Err(reason) => error(StatusCode::CONFLICT, &reason),
    }
}

/// `POST /api/v1/nodes/pair`.
pub(crate) async fn pair<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let wish: PairWish = match read(&request, payload).await {
        Ok(wish) => wish,
        Err(trouble) => return trouble.answer(),
    };
    match console.pair_node(&wish).await {
        Ok(name) => HttpResponse::Ok().json(NodeName { name }),
        Err(reason) => error(StatusCode::CONFLICT, &reason),
    }
}

/// `POST /api/v1/nodes/forget`.
pub(crate) async fn forget<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let node: NodeName = match read(&request, payload).await {
        Ok(node) => node,
        Err(trouble) => return trouble.answer(),
    };
    match console.forget_node(&node.name) {
        Ok(()) => HttpResponse::Ok().json(node),
        Err(reason) => error(StatusCode::CONFLICT, &reason),
    }
}

/// `POST /api/v1/nodes/code`.
pub(crate) fn code<C: Console>(console: &C, request: &HttpRequest) -> HttpResponse {
    if let Err(trouble) = let_in(request) {
        return trouble.answer();
    }
    match console.pairing_code() {
        Ok(code) => HttpResponse::Ok().json(PairingCode { code }),
        Err(reason) => error(StatusCode::CONFLICT, &reason),
    }
}

/// The answer to other methods.
pub(crate) fn only_post() -> HttpResponse {
    error(StatusCode::METHOD_NOT_ALLOWED, texts::ONLY_POST)
}

fn let_in(request: &HttpRequest) -> Result<(), Trouble> {
    if guard::is_own_page(request) {
        Ok(())
    } else {
        Err(Trouble(StatusCode::FORBIDDEN, texts::FOREIGN_PAGE.to_owned()))
    }
}

async fn read<T: DeserializeOwned>(request: &HttpRequest, payload: web::Payload) -> Result<T, Trouble> {
    let_in(request)?;
    let bad = |reason: &str| Trouble(StatusCode::BAD_REQUEST, reason.to_owned());
    match rt::time::timeout(BODY_WAIT_MAX, payload.to_bytes_limited(BODY_BYTES_MAX)).await {
        Ok(Ok(Ok(body))) => serde_json::from_slice(&body).map_err(|reason| bad(&reason.to_string())),
        Ok(_) => Err(bad(texts::BROKEN_BODY)),
        Err(_) => Err(bad(texts::SLOW_BODY)),
    }
}

fn error(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": { "message": message, "type": "invalid_request_error" } }))
}
