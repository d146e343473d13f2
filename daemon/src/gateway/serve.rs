//! The line that every request goes: admit → recall → choose → call → relay → settle.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use domain::refusal::Refusal;
use domain::surface::Surface;
use domain::tenant::Identity;
use wire::exchange::{Answer, Ask, answer};

use super::account::Account;
use super::admit::admit;
use super::answer_error::{ServeError, respond};
use super::client::Client;
use super::headers::{job_headers, stream_headers, whole_headers};
use super::job::{Job, Live};
use super::recall::{Recalled, again, recall};
use super::settle::Settlement;
use super::{Gateway, count, forward, preload, quota, read, relay, replay};
use crate::live::Snapshot;
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
    let served = match read_ask(&gateway, &snapshot, &mut settlement, &request, payload).await {
        Ok((mut ask, identity)) => {
            settlement.stream = ask.stream;
            match Client::of(&request, &gateway, &snapshot, &ask, identity) {
                Ok(client) => {
                    drop(request);
                    if let Some(system) = &client.policy.system {
                        ask.tell_first(system);
                    }
                    let mut job = Job::new(gateway, snapshot, client, request_id.clone(), ask, settlement);
                    match quota::admit(&mut job) {
                        Ok(()) => answer_job(job).await,
                        Err(error) => {
                            job.settlement.fail(error.kind());
                            Err(Arc::new(error))
                        }
                    }
                }
                Err(refusal) => {
                    settlement.fail(refusal.kind());
                    Err(Arc::new(refusal.into()))
                }
            }
        }
        Err(error) => {
            settlement.fail(error.kind());
            Err(Arc::new(error))
        }
    };
    served.unwrap_or_else(|error| respond(&error, surface.dialect(), Some(&request_id)))
}

/// Serves what was asked: from what is kept, with others who ask the same, or by itself.
pub(super) async fn answer_job(job: Job) -> Result<HttpResponse, Arc<ServeError>> {
    match recall(job).await? {
        Recalled::Own(job) => own(job).await,
        Recalled::Shared(listener) => listener.serve().await,
        Recalled::Kept(job, entry, how) => match replay::respond(job, &entry, how) {
            Ok(response) => Ok(response),
            Err(job) => match again(*job) {
                Recalled::Own(job) | Recalled::Kept(job, ..) => own(job).await,
                Recalled::Shared(listener) => listener.serve().await,
            },
        },
    }
}

/// Serves a request whose answer is for nobody else.
async fn own(job: Job) -> Result<HttpResponse, Arc<ServeError>> {
    let is_stream = job.ask.stream && job.ask.load().is_none();
    let served = if is_stream { stream(job).await } else { whole(job).await };
    served.map_err(Arc::new)
}

/// Lets the request in and reads it.
async fn read_ask(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    settlement: &mut Settlement,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Ask, Rc<Identity>), ServeError> {
    if gateway.stopping.load(Ordering::Relaxed) {
        return Err(Refusal::Stopping { retry_after: RETRY_AFTER_STOP }.into());
    }
    let endpoint = &snapshot.config.endpoint;
    let identity = admit(request, gateway, endpoint).await?;
    let account = Account::new(gateway, snapshot.clone(), identity.clone());
    settlement.account = Some(Box::new(account));
    let hops = forward::hops(request.headers());
    if hops > HOPS_MAX {
        return Err(Refusal::Loops { hops }.into());
    }
    let body = read::body(request, payload, endpoint.body_max_bytes, endpoint.client_timeout).await?;
    let ask = Ask::read(settlement.surface, &body)?;
    if ask.mock_fallbacks && !snapshot.config.route.mock_fallbacks {
        return Err(Refusal::MockOff.into());
    }
    Ok((ask, identity))
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
    let (live, answer) = answered(job).await?;
    Ok(respond_whole(job, &live, answer))
}

/// The answer in one piece of the first upstream that gives one.
pub(super) async fn answered(job: &mut Job) -> Result<(Live, Answer), ServeError> {
    let mut live = job.next_live().await?;
    loop {
        match read_answer(job, &mut live).await {
            Ok(answer) => {
                job.complete(&mut live);
                return Ok((live, answer));
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
pub(super) async fn read_answer(job: &mut Job, live: &mut Live) -> Result<Answer, Fault> {
    let body = live.reply.body.collect(ANSWER_BYTES_MAX).await?;
    let answered = answer(&job.ask, live.leg().far, &body, &job.context, job.settlement.elapsed())?;
    job.settlement.usage = answered.usage;
    job.tapes(live, false, [body]);
    Ok(answered)
}

/// An answer in one piece.
pub(super) fn respond_whole(job: &Job, live: &Live, answer: Answer) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    job_headers(&mut response, job, Some(live));
    whole_headers(&mut response);
    response.body(answer.body)
}

/// The beginning of a stream: the first upstream that accepts.
pub(super) type Beginning = Pin<Box<dyn Future<Output = (Job, Result<Live, ServeError>)>>>;

/// Serves an answer in pieces. Errors that come before the first sign of life still have their HTTP status.
async fn stream(job: Job) -> Result<HttpResponse, ServeError> {
    let mut response = HttpResponse::Ok();
    let signs = relay::Signs::new(&job);
    let told = job.settlement.told();
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
            job_headers(&mut response, &job, Some(&live));
            relay::First::Begun(Box::new((job, live)))
        }
        None => {
            response.insert_header((forward::X_REQUEST_ID.clone(), &*signs.request_id));
            if let Some(told) = &told {
                told.say(&mut response);
            }
            relay::First::Waiting(beginning)
        }
    };
    stream_headers(&mut response, signs.dialect);
    Ok(response.streaming(relay::relay(first, signs)))
}
