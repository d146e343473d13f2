//! The machines of the house as JSON, and what the owner does with them. What changes something is done for our own pages
//! and for programs of this machine only.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::Console;
use crate::facts::{NodeName, Nodes, PairWish, PairingCode};
use crate::wish::{done, let_in, read};

/// `GET /api/v1/nodes`.
pub(crate) fn json(nodes: &Nodes) -> HttpResponse {
    HttpResponse::Ok().json(nodes)
}

/// `POST /api/v1/nodes/find`.
pub(crate) async fn find<C: Console + 'static>(console: web::Data<C>, request: HttpRequest) -> HttpResponse {
    if let Err(trouble) = let_in(&request) {
        return trouble.answer();
    }
    done(console.find_nodes().await)
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
    done(console.pair_node(&wish).await.map(|name| NodeName { name }))
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
    done(console.forget_node(&node.name).map(|()| node))
}

/// `POST /api/v1/nodes/code`.
pub(crate) fn code<C: Console>(console: &C, request: &HttpRequest) -> HttpResponse {
    if let Err(trouble) = let_in(request) {
        return trouble.answer();
    }
    done(console.pairing_code().map(|code| PairingCode { code }))
}
