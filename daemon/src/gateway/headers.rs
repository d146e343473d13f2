//! What every answer says of itself in its headers.

use std::fmt::{Arguments, Write as _};

use actix_web::HttpResponseBuilder;
use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::BytesMut;

use super::forward::X_REQUEST_ID;
use super::job::{Job, Live};

pub(super) static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
static UPSTREAM: HeaderName = HeaderName::from_static("x-airlane-upstream");
static MODEL: HeaderName = HeaderName::from_static("x-airlane-model");
static REASON: HeaderName = HeaderName::from_static("x-airlane-reason");
static ATTEMPTS: HeaderName = HeaderName::from_static("x-airlane-attempts");
static QUEUE_MS: HeaderName = HeaderName::from_static("x-airlane-queue-ms");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Bytes that the values usually take together.
const VALUES_BYTES: usize = 384;

/// Adds the headers; `live` tells who answers.
pub(super) fn headers(response: &mut HttpResponseBuilder, job: &Job, live: Option<&Live>) {
    // All values lie in one piece of memory.
    let mut buffer = BytesMut::with_capacity(VALUES_BYTES);
    let mut add = |name: &HeaderName, text: Arguments<'_>| {
        let written = buffer.write_fmt(text);
        // A model's name may hold letters that no header can.
        if let (Ok(()), Ok(value)) = (written, HeaderValue::from_maybe_shared(buffer.split().freeze())) {
            response.insert_header((name.clone(), value));
        }
    };
    add(&X_REQUEST_ID, format_args!("{}", job.request_id));
    if let Some(live) = live {
        let leg = live.leg();
        add(&UPSTREAM, format_args!("{}", leg.target.upstream));
        add(&MODEL, format_args!("{}", leg.target.model));
        add(&REASON, format_args!("{}", leg.reason()));
        add(&ATTEMPTS, format_args!("{}", job.settlement.attempts.get()));
        add(&QUEUE_MS, format_args!("{}", job.settlement.queued.as_millis()));
    }
    let queued = job.settlement.queued;
    let upstream = job.settlement.elapsed().saturating_sub(queued);
    // Milliseconds with one decimal, without the cost of writing floats.
    let (queued, upstream) = (queued.as_micros() / 100, upstream.as_micros() / 100);
    add(
        &SERVER_TIMING,
        format_args!("queue;dur={}.{}, upstream;dur={}.{}", queued / 10, queued % 10, upstream / 10, upstream % 10),
    );
}
