//! What a failed call tells of the place that failed.

use std::time::Duration;

use domain::dispatch::Outcome;
use domain::health::Symptom;
use wire::failure::{FailureKind, UpstreamFailure};

use super::call::{CallError, Fault};

impl CallError {
    /// What the call tells of the upstream's health.
    pub(crate) fn outcome(&self) -> Outcome {
        let symptom = match &self.fault {
            Fault::Connect(_) => Some(Symptom::Unreachable),
            Fault::Timeout { .. } | Fault::Broken(_) | Fault::NotAnAnswer(_) => Some(Symptom::Failing),
            Fault::Status { status, failure, retry_after } => of_status(*status, failure, retry_after.as_deref()),
            Fault::Reported(failure) => of_kind(failure, None),
        };
        match symptom {
            Some(symptom) => Outcome::Failed { symptom, cause: self.to_string() },
            None => Outcome::Rejected,
        }
    }
}

/// `None` where the answer is about the request and not about the place.
fn of_status(status: u16, failure: &UpstreamFailure, retry_after: Option<&str>) -> Option<Symptom> {
    match status {
        // It redirects: the address in the config is wrong.
        300..=399 | 401..=403 => Some(Symptom::Unauthorized),
        429 => Some(Symptom::RateLimited { retry_after: seconds(retry_after) }),
        503 if failure.message.to_ascii_lowercase().contains("loading") => Some(Symptom::Loading),
        503 | 529 => Some(Symptom::Overloaded),
        408 | 500..=599 => Some(Symptom::Failing),
        _ => of_kind(failure, seconds(retry_after)),
    }
}

fn of_kind(failure: &UpstreamFailure, retry_after: Option<Duration>) -> Option<Symptom> {
    match failure.kind {
        FailureKind::RateLimit => Some(Symptom::RateLimited { retry_after }),
        FailureKind::Overloaded => Some(Symptom::Overloaded),
        FailureKind::Authentication | FailureKind::Permission | FailureKind::Quota => Some(Symptom::Unauthorized),
        FailureKind::Upstream | FailureKind::Timeout | FailureKind::Internal => Some(Symptom::Failing),
        FailureKind::InvalidRequest | FailureKind::ContextLength | FailureKind::NotFound | FailureKind::TooLarge => {
            None
        }
    }
}

/// `Retry-After` in seconds. Its other form, a date, is not used by any of these servers.
fn seconds(retry_after: Option<&str>) -> Option<Duration> {
    retry_after?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_tell_of_the_place_or_of_the_request() {
        let pause = |seconds| Symptom::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        for (status, kind, message, want) in [
            (400, FailureKind::InvalidRequest, "", None),
            (400, FailureKind::ContextLength, "", None),
            (401, FailureKind::Authentication, "", Some(Symptom::Unauthorized)),
            (402, FailureKind::Quota, "", Some(Symptom::Unauthorized)),
            (404, FailureKind::NotFound, "", None),
            (429, FailureKind::RateLimit, "", Some(pause(3))),
            (500, FailureKind::Upstream, "", Some(Symptom::Failing)),
            (503, FailureKind::Overloaded, "Loading model", Some(Symptom::Loading)),
            (503, FailureKind::Overloaded, "no slot", Some(Symptom::Overloaded)),
            (529, FailureKind::Overloaded, "", Some(Symptom::Overloaded)),
        ] {
            let failure = UpstreamFailure::new(kind, message);
            assert_eq!(of_status(status, &failure, Some("3")), want, "{status}");
        }
    }
}
