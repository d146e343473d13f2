//! Ollama's requests without a prompt: they load a model, or throw it out of memory.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use domain::upstream::UpstreamKind;
use wire::exchange::load_reply;

use super::answer_error::ServeError;
use super::headers::job_headers;
use super::job::Job;

/// Answers such a request for upstreams that load models by themselves; `None` if an Ollama shall do it.
pub(super) fn answer(job: &mut Job) -> Result<Option<HttpResponse>, ServeError> {
    let Some(load) = job.ask.load() else { return Ok(None) };
    let leg = job.choose()?;
    let upstream = job.snapshot.config.upstream(&leg.target.upstream);
    if upstream.is_some_and(|upstream| upstream.kind == UpstreamKind::Ollama) {
        return Ok(None);
    }
    let mut response = HttpResponse::Ok();
    job_headers(&mut response, job, None);
    response.insert_header((CONTENT_TYPE, "application/json"));
    Ok(Some(response.body(load_reply(&job.ask, load, &job.context, job.settlement.elapsed()))))
}
