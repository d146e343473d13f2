//! Counting tokens: by an upstream that can, or by estimate.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use domain::dispatch::Outcome;
use wire::anthropic::count_tokens;

use super::answer_error::ServeError;
use super::headers::job_headers;
use super::job::Job;
use super::serve;

/// Says that a count is an estimate.
const ESTIMATED: &str = "x-airlane-estimated";

/// Asks the upstreams of the route to count; where none can, estimates.
pub(super) async fn tokens(job: &mut Job) -> Result<HttpResponse, ServeError> {
    let counted = match job.next_live().await {
        Ok(mut live) => {
            let counted = serve::read_answer(job, &mut live).await.ok();
            // Who does not know the path is not ill, and a count tells no speed.
            live.slot.note(Outcome::Rejected);
            counted.map(|answer| serve::respond_whole(job, &live, answer))
        }
        // llama.cpp and vLLM count in Anthropic's form; who does not know the path can't.
        Err(ServeError::Call { .. }) => None,
        Err(error) => return Err(error),
    };
    job.settlement.complete();
    match counted {
        Some(response) => Ok(response),
        None => {
            let tokens = count_tokens::estimate(&job.ask.chat()?);
            let mut response = HttpResponse::Ok();
            job_headers(&mut response, job, None);
            response.insert_header((CONTENT_TYPE, "application/json"));
            response.insert_header((ESTIMATED, "true"));
            Ok(response.body(count_tokens::encode_reply(tokens)))
        }
    }
}
