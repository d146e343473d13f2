//! What every answer says of itself in its headers.

use std::fmt::{Arguments, Display, Write as _};
use std::time::Duration;

use actix_web::HttpResponseBuilder;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use bytes::BytesMut;
use domain::cache::Status;
use domain::catalogue::Target;
use domain::surface::Dialect;

use super::forward::X_REQUEST_ID;
use super::job::{Job, Live};
use super::quota::Told;

static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
static UPSTREAM: HeaderName = HeaderName::from_static("x-airlane-upstream");
static MODEL: HeaderName = HeaderName::from_static("x-airlane-model");
static REASON: HeaderName = HeaderName::from_static("x-airlane-reason");
static ATTEMPTS: HeaderName = HeaderName::from_static("x-airlane-attempts");
static QUEUE_MS: HeaderName = HeaderName::from_static("x-airlane-queue-ms");
static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Bytes that the values usually take together.
const VALUES_BYTES: usize = 384;

/// What there is to say.
pub(super) struct Said<'a> {
    pub(super) request_id: &'a str,
    pub(super) cache: Option<Status>,
    /// Who answers, and why it was chosen.
    pub(super) answers: Option<(&'a Target, &'a dyn Display)>,
    pub(super) attempts: u32,
    pub(super) queued: Duration,
    /// Since the request came.
    pub(super) elapsed: Duration,
    /// How its limits stand.
    pub(super) told: Option<&'a Told>,
}

/// Says it of a job's answer; `live` tells who answers.
pub(super) fn job_headers(response: &mut HttpResponseBuilder, job: &Job, live: Option<&Live>) {
    let reason = live.map(|live| live.leg().reason());
    let answers = live.zip(reason.as_ref()).map(|(live, reason)| (&live.leg().target, reason as &dyn Display));
    let told = job.settlement.told();
    let said = Said {
        request_id: &job.request_id,
        cache: job.cache,
        answers,
        attempts: job.settlement.attempts.get(),
        queued: job.settlement.queued,
        elapsed: job.settlement.elapsed(),
        told: told.as_ref(),
    };
    headers(response, &said);
}

/// An answer in one piece.
pub(super) fn whole_headers(response: &mut HttpResponseBuilder) {
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
}

/// An answer in pieces.
pub(super) fn stream_headers(response: &mut HttpResponseBuilder, dialect: Dialect) {
    response.insert_header((
        CONTENT_TYPE,
        HeaderValue::from_static(match dialect {
            Dialect::Ollama => "application/x-ndjson",
            Dialect::Openai | Dialect::Anthropic => "text/event-stream; charset=utf-8",
        }),
    ));
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    // nginx in front of us would collect the stream otherwise.
    response.insert_header((X_ACCEL_BUFFERING.clone(), HeaderValue::from_static("no")));
}

/// Adds the headers.
pub(super) fn headers(response: &mut HttpResponseBuilder, said: &Said<'_>) {
    if let Some(told) = said.told {
        told.say(response);
    }
    // All values lie in one piece of memory.
    let mut buffer = BytesMut::with_capacity(VALUES_BYTES);
    let mut add = |name: &HeaderName, text: Arguments<'_>| {
        let written = buffer.write_fmt(text);
        // A model's name may hold letters that no header can.
        if let (Ok(()), Ok(value)) = (written, HeaderValue::from_maybe_shared(buffer.split().freeze())) {
            response.insert_header((name.clone(), value));
        }
    };
    add(&X_REQUEST_ID, format_args!("{}", said.request_id));
    if let Some(status) = said.cache {
        add(&CACHE_STATUS, format_args!("{status}"));
    }
    let queued = said.queued;
    if let Some((target, reason)) = said.answers {
        add(&UPSTREAM, format_args!("{}", target.upstream));
        add(&MODEL, format_args!("{}", target.model));
        add(&REASON, format_args!("{reason}"));
        add(&ATTEMPTS, format_args!("{}", said.attempts));
        add(&QUEUE_MS, format_args!("{}", queued.as_millis()));
    }
    let upstream = said.elapsed.saturating_sub(queued);
    // Milliseconds with one decimal, without the cost of writing floats.
    let (queued, upstream) = (queued.as_micros() / 100, upstream.as_micros() / 100);
    add(
        &SERVER_TIMING,
        format_args!("queue;dur={}.{}, upstream;dur={}.{}", queued / 10, queued % 10, upstream / 10, upstream % 10),
    );
}
