//! The line that every request goes: admit → choose → call → relay → settle.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::config::Config;
use domain::refusal::Refusal;
use domain::surface::{Dialect, Surface};
use wire::exchange::{Ask, answer};

use super::answer_error::{ServeError, respond};
use super::client::Client;
use super::headers::{X_ACCEL_BUFFERING, headers};
use super::job::{Job, Live};
use super::settle::Settlement;
use super::{Gateway, count, forward, guard, preload, read, relay};
use crate::upstreams::Fault;

/// Largest whole answer taken from an upstream: pictures and thousands of vectors fit.
pub(super) const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Most Airlanes that a request may have passed: a router, and a box behind it that the owner put there by hand.
const HOPS_MAX: u8 = 2;

/// When to come back to a daemon that stops: a restart takes no longer.
const RETRY_AFTER_STOP: Duration = Duration::from_secs(2);

/// Serves one request.
pub(super) async fn serve(surface: Surface, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let started = Instant::now();
    let Some(gateway) = request.app_data::<Rc<Gateway>>().cloned() else {
        return HttpResponse::InternalServerError().finish();
    };
    let request_id: Rc<str> = forward::request_id_or_new(request.headers(), &gateway).into();
    let snapshot = gateway.live.now();
    let mut settlement = Settlement::new(gateway.metrics.clone(), request_id.clone(), surface, started);
    let served = match read_ask(&gateway, &snapshot.config, surface, &request, payload).await {
        Ok(ask) => {
            settlement.stream = ask.stream;
            let client = Client::of(&request, &snapshot.config, ask.stream);
            drop(request);
            let job = Job::new(gateway, snapshot, client, request_id.clone(), ask, settlement);
            if job.ask.stream && job.ask.load().is_none() { stream(job).await } else { whole(job).await }
        }
        Err(error) => {
            settlement.fail(error.kind());
            Err(error)
        }
    };
    served.unwrap_or_else(|error| respond(&error, surface.dialect(), Some(&request_id)))
}

/// Lets the request in and reads it.
async fn read_ask(
    gateway: &Gateway,
    config: &Config,
    surface: Surface,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Ask, ServeError> {
    if gateway.stopping.load(Ordering::Relaxed) {
        return Err(Refusal::Stopping { retry_after: RETRY_AFTER_STOP }.into());
    }
    let endpoint = &config.endpoint;
    guard::check(request, endpoint)?;
    let hops = forward::hops(request.headers());
    if hops > HOPS_MAX {
        return Err(Refusal::Loops { hops }.into());
    }
    let body = read::body(request, payload, endpoint.body_max_bytes, endpoint.client_timeout).await?;
    let ask = Ask::read(surface, &body)?;
    if ask.mock_fallbacks && !config.route.mock_fallbacks {
        return Err(Refusal::MockOff.into());
    }
    Ok(ask)
}

/// Serves an answer in one piece.
async fn whole(mut job: Job) -> Result<HttpResponse, ServeError> {
    let served = whole_answer(&mut job).await;
    if let Err(error) = &served {
        job.settlement.fail(error.kind());
    }
    served
}

async fn whole_answer(job: &mut Job) -> Result<HttpResponse, ServeError> {
    if job.ask.near == Surface::AnthropicCountTokens {
        return count::tokens(job).await;
    }
    if let Some(response) = preload::answer(job)? {
        job.settlement.complete();
        return Ok(response);
    }
    let mut live = job.next_live().await?;
    loop {
        match read_answer(job, &mut live).await {
            Ok(response) => {
                job.complete(&mut live);
                return Ok(response);
            }
            Err(fault) => {
                let error = job.call_error(&mut live, fault);
                job.failed(error)?;
                live = job.next_live().await?;
            }
        }
    }
}

/// Reads one upstream's whole answer and turns it into the client's.
pub(super) async fn read_answer(job: &mut Job, live: &mut Live) -> Result<HttpResponse, Fault> {
    let body = live.reply.body.collect(ANSWER_BYTES_MAX).await?;
    let answered = answer(&job.ask, live.leg().far, &body, &job.context, job.settlement.elapsed())?;
    job.settlement.usage = answered.usage;
    let mut response = HttpResponse::Ok();
    headers(&mut response, job, Some(live));
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    Ok(response.body(answered.body))
}

/// The beginning of a stream: the first upstream that accepts.
pub(super) type Beginning = Pin<Box<dyn Future<Output = (Job, Result<Live, ServeError>)>>>;

/// Serves an answer in pieces. Errors that come before the first sign of life still have their HTTP status.
async fn stream(job: Job) -> Result<HttpResponse, ServeError> {
    let mut response = HttpResponse::Ok();
    let signs = relay::Signs::new(&job);
    let mut beginning: Beginning = Box::pin(async move {
        let mut job = job;
        let live = job.next_live().await;
        (job, live)
    });
    let begun = tokio::select! {
        biased;
        begun = &mut beginning => Some(begun),
        () = tokio::time::sleep(signs.heartbeat_every) => None,
    };
    let first = match begun {
        Some((mut job, Err(error))) => {
            job.settlement.fail(error.kind());
            return Err(error);
        }
        Some((job, Ok(live))) => {
            headers(&mut response, &job, Some(&live));
            relay::First::Begun(Box::new((job, live)))
        }
        None => {
            response.insert_header((forward::X_REQUEST_ID.clone(), &*signs.request_id));
            relay::First::Waiting(beginning)
        }
    };
    response.insert_header((
        CONTENT_TYPE,
        HeaderValue::from_static(match signs.dialect {
            Dialect::Ollama => "application/x-ndjson",
            Dialect::Openai | Dialect::Anthropic => "text/event-stream; charset=utf-8",
        }),
    ));
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    // nginx in front of us would collect the stream otherwise.
    response.insert_header((X_ACCEL_BUFFERING.clone(), HeaderValue::from_static("no")));
    Ok(response.streaming(relay::relay(first, signs)))
}
