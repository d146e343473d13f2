//! The machines of the house as JSON, and what the owner does with them. What changes something is done for our own pages
//! and for programs of this machine only.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::Console;
use crate::facts::{NodeName, Nodes, PairWish, PairingCode};
use crate::wish::{error, let_in, read};

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
