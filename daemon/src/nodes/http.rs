//! The paths on the endpoint over which routers and nodes talk: for the LAN only, small bodies, errors that say little.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Nodes;
use super::pairing::{Confirm, Hello};
use super::receive::{Claim, NotTaken};
use crate::gateway::{Peer, is_let_in};

/// Where reports go, and where a node asks for the word with which it begins.
pub(super) const REPORT: &str = "/airlane/v1/report";
/// The first word of a pairing.
pub(super) const PAIR: &str = "/airlane/v1/pair";
/// The second.
pub(super) const CONFIRM: &str = "/airlane/v1/pair/confirm";
/// On a node: where its router tells that it has moved, and asks for the word with which it begins.
pub(super) const ROUTER: &str = "/airlane/v1/router";

/// Largest report as it is sent, packed.
pub(super) const PACKED_BYTES_MAX: usize = 64 * 1024;
/// Largest word of a pairing.
const WORD_BYTES_MAX: usize = 4 * 1024;
/// Longest wait for a body.
const BODY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Adds the paths. The app data must hold a [`web::Data`] of [`Nodes`].
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource(REPORT).route(web::post().to(take)).route(web::get().to(challenge)))
        .service(web::resource(ROUTER).route(web::post().to(follow)).route(web::get().to(router_challenge)))
        .service(web::resource(PAIR).route(web::post().to(pair)))
        .service(web::resource(CONFIRM).route(web::post().to(confirm)));
}

/// An answer that is not what was hoped for.
struct Refused(StatusCode, String);

impl Refused {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self(status, message.into())
    }

    fn answer(&self) -> HttpResponse {
        let error = json!({ "message": self.1, "type": "invalid_request_error" });
        HttpResponse::build(self.0).json(json!({ "error": error }))
    }
}

impl From<NotTaken> for Refused {
    fn from(reason: NotTaken) -> Self {
        let status = match reason {
            NotTaken::NotProven | NotTaken::NoRouter => StatusCode::UNAUTHORIZED,
            NotTaken::TooFast => StatusCode::TOO_MANY_REQUESTS,
            NotTaken::Malformed(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, reason.to_string())
    }
}

async fn take(nodes: web::Data<Nodes>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    match take_report(&nodes, &request, payload).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(refused) => refused.answer(),
    }
}

async fn take_report(nodes: &Nodes, request: &HttpRequest, payload: web::Payload) -> Result<(), Refused> {
    let peer = let_in(nodes, request)?;
    // What strangers send is not even read.
    let claim = claim(request).filter(|claim| nodes.knows(&claim.id)).ok_or(NotTaken::NotProven)?;
    let packed = read(payload, PACKED_BYTES_MAX).await?;
    Ok(nodes.take(&claim, &packed, peer)?)
}

#[derive(Deserialize)]
struct Who {
    node: String,
}

async fn challenge(nodes: web::Data<Nodes>, request: HttpRequest) -> HttpResponse {
    let answered = let_in(&nodes, &request).and_then(|_| {
        let who = web::Query::<Who>::from_query(request.query_string()).map_err(|_| NotTaken::NotProven)?;
        Ok(nodes.challenge(&who.node)?)
    });
    match answered {
        Ok(word) => HttpResponse::Ok().json(json!({ "word": word })),
        Err(refused) => refused.answer(),
    }
}

async fn follow(nodes: web::Data<Nodes>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let followed = async {
        let peer = let_in(&nodes, &request)?;
        let claim = claim(&request).filter(|claim| nodes.is_router(&claim.id)).ok_or(NotTaken::NoRouter)?;
        let body = read(payload, WORD_BYTES_MAX).await?;
        Ok(nodes.follow(&claim, &body, peer)?)
    };
    followed.await.map_or_else(|refused: Refused| refused.answer(), |()| HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
struct WhichRouter {
    router: String,
}

async fn router_challenge(nodes: web::Data<Nodes>, request: HttpRequest) -> HttpResponse {
    let answered = let_in(&nodes, &request).and_then(|_| {
        let who = web::Query::<WhichRouter>::from_query(request.query_string()).map_err(|_| NotTaken::NoRouter)?;
        Ok(nodes.router_challenge(&who.router)?)
    });
    match answered {
        Ok(word) => HttpResponse::Ok().json(json!({ "word": word })),
        Err(refused) => refused.answer(),
    }
}

/// Who says that it speaks.
fn claim(request: &HttpRequest) -> Option<Claim> {
    Claim::read(request.headers().get(AUTHORIZATION)?.to_str().ok()?)
}

async fn pair(nodes: web::Data<Nodes>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let answered = async {
        let peer = let_in(&nodes, &request)?;
        let hello: Hello = parse(&read(payload, WORD_BYTES_MAX).await?)?;
        nodes.answer(&hello, peer).map_err(|reason| Refused::new(StatusCode::FORBIDDEN, reason))
    };
    answered.await.map_or_else(|refused: Refused| refused.answer(), |answer| HttpResponse::Ok().json(answer))
}

async fn confirm(nodes: web::Data<Nodes>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let answered = async {
        let peer = let_in(&nodes, &request)?;
        let word: Confirm = parse(&read(payload, WORD_BYTES_MAX).await?)?;
        nodes.confirm(&word, peer).map_err(|reason| Refused::new(StatusCode::FORBIDDEN, reason))
    };
    answered.await.map_or_else(|refused: Refused| refused.answer(), |proof| HttpResponse::Ok().json(proof))
}

/// The caller's address, if it may call.
fn let_in(nodes: &Nodes, request: &HttpRequest) -> Result<IpAddr, Refused> {
    let is_in = is_let_in(request, &nodes.live.now().config.endpoint);
    let peer = request.conn_data::<Peer>().filter(|_| is_in).map(|peer| peer.peer.ip().to_canonical());
    peer.ok_or_else(|| Refused::new(StatusCode::FORBIDDEN, "only the LAN may call"))
}

async fn read(payload: web::Payload, bytes_max: usize) -> Result<Bytes, Refused> {
    match actix_web::rt::time::timeout(BODY_WAIT_MAX, payload.to_bytes_limited(bytes_max)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Refused::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Ok(Err(_)) => {
            Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body here has at most {bytes_max} bytes")))
        }
        Err(_) => Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly")),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|reason| Refused::new(StatusCode::BAD_REQUEST, reason.to_string()))
}
