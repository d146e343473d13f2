//! A kept answer on its way to the client.

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::AGE;
use bytes::Bytes;
use domain::cache::{Entry, How, Status};
use futures_util::Stream;
use wire::exchange::{BadAnswer, replay, replay_stream};

use super::headers::{Said, headers, stream_headers, whole_headers};
use super::job::Job;

/// Gives the client a kept answer. The job is lost with the response, or given back if the answer is none.
pub(super) fn respond(mut job: Job, entry: &Entry, how: How) -> Result<HttpResponse, Box<Job>> {
    let now_ms = job.gateway.clock.unix_ms();
    job.tells(Status::Hit { ttl: entry.fresh_for(now_ms), how });
    let mut response = HttpResponse::Ok();
    headers(
        &mut response,
        &Said {
            request_id: &job.request_id,
            cache: job.cache,
            answers: Some((&entry.target, &"kept" as &dyn Display)),
            attempts: 0,
            queued: Duration::ZERO,
            elapsed: job.settlement.elapsed(),
            told: job.settlement.told().as_ref(),
        },
    );
    response.insert_header((AGE, entry.age(now_ms).as_secs()));
    match replayed(&mut job, entry) {
        Err(_) => {
            job.tells(Status::Miss { stored: false });
            Err(Box::new(job))
        }
        Ok(Replayed::Whole(body)) => {
            whole_headers(&mut response);
            job.settlement.complete();
            Ok(response.body(body))
        }
        Ok(Replayed::Stream(frames)) => {
            stream_headers(&mut response, job.ask.near.dialect());
            job.settlement.saw(u32::try_from(frames.len()).unwrap_or(u32::MAX));
            let pace = job.policy.cache.replay_tokens_per_s;
            if pace == 0 {
                job.settlement.complete();
                return Ok(response.body(frames.concat()));
            }
            Ok(response.streaming(paced(job, frames, Duration::from_secs(1) / pace)))
        }
    }
}

enum Replayed {
    Whole(Bytes),
    Stream(Vec<Bytes>),
}

fn replayed(job: &mut Job, entry: &Entry) -> Result<Replayed, BadAnswer> {
    let elapsed = job.settlement.elapsed();
    let (ask, surface, body) = (&job.ask, entry.surface, &entry.body);
    if !ask.stream {
        let answer = replay(ask, surface, body, &job.context, elapsed)?;
        job.settlement.usage = answer.usage;
        return Ok(Replayed::Whole(answer.body));
    }
    let by_words = job.policy.cache.replay_tokens_per_s > 0;
    let replay = replay_stream(ask, surface, body, job.context.clone(), elapsed, by_words)?;
    job.settlement.usage = replay.usage;
    Ok(Replayed::Stream(replay.frames))
}

/// The frames, one after another, as a model would write them.
fn paced(mut job: Job, frames: Vec<Bytes>, pause: Duration) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let listening = job.gateway.metrics.listening();
    async_stream::stream! {
        let mut due = tokio::time::Instant::now();
        for frame in frames {
            tokio::time::sleep_until(due).await;
            due += pause;
            yield Ok(frame);
        }
        job.settlement.complete();
        drop(listening);
    }
}
