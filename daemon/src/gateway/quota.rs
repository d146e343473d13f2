//! The limits and budgets of the policies that hold for a request: who is let in, and what they are told of it.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use actix_web::HttpResponseBuilder;
use actix_web::http::header::{HeaderName, HeaderValue};
use domain::allowance::{Charge, Demand, Exceeded, Kind, Notice, Now, Quota};
use domain::budget::{Price, Step};
use domain::catalogue::Target;
use domain::limit::Needed;
use domain::price::{Prices, cost};
use domain::surface::{Dialect, Task};
use domain::usage::Usage;
use tracing::warn;
use wire::limits::{Header, headers};

use super::answer_error::ServeError;
use super::job::Job;
use crate::meter::Permit;

/// Tokens of an answer of whose length nobody knows anything: what most are shorter than. A client that wants less says so.
const OUTPUT_TOKENS_USUAL: u64 = 1_000;

/// What is counted for a place of which nobody knows what it costs: about what the dearest common models do.
static CAUTIOUS: LazyLock<Prices> = LazyLock::new(|| {
    // Dollars for a million tokens.
    Prices::from_line("input 10 output 30 | an estimate | ").unwrap_or_default()
});

/// Tells the share of a budget that is used, in percent, once a soft limit is passed.
static BUDGET_USED: HeaderName = HeaderName::from_static("x-airlane-budget-used");

/// What an answer tells of limits in its headers.
#[derive(Clone)]
pub(super) struct Told {
    headers: Rc<[Header]>,
    passed_percent: Option<u8>,
}

/// A request that is let in, until it is settled.
pub(super) struct Quotas {
    pub(super) permit: Permit,
    pub(super) told: Told,
}

/// Lets a request in under all limits and budgets of its policies. Where there are none it costs nothing.
///
/// # Errors
/// It has no room under one of them.
pub(super) fn admit(job: &mut Job) -> Result<(), ServeError> {
    if quotas(job).next().is_none() {
        return Ok(());
    }
    let charges: Vec<Charge<'_>> = quotas(job).filter_map(|quota| charge(job, quota)).collect();
    let (demand, now) = (demand(job), now(job));
    let admitted = job.gateway.meter.admit(&charges, &demand, now);
    let permit = admitted.map_err(|exceeded| refuse(job, exceeded, now))?;
    log(permit.warnings());
    if permit.is_degraded() {
        job.stays_in_house();
    }
    let dialect = job.settlement.surface.dialect();
    let told = Told {
        headers: headers(dialect, permit.standing(), since_epoch(now)).collect(),
        passed_percent: permit.passed_percent(),
    };
    job.settlement.quotas = Some(Box::new(Quotas { permit, told }));
    Ok(())
}

/// Counts a request for the model and the upstream that are tried.
///
/// # Errors
/// There is no room for it.
pub(super) fn join(job: &mut Job, target: &Target) -> Result<(), ServeError> {
    let Some(mut quotas_of) = job.settlement.quotas.take() else { return Ok(()) };
    let charges: Vec<Charge<'_>> = (quotas(job).filter(|quota| quota.kind.is_of_place()))
        .map(|quota| Charge { quota, name: if quota.kind == Kind::Model { &target.model } else { &target.upstream } })
        .collect();
    let now = now(job);
    let held_micro_usd = if has_budget(&charges) { estimate(job, target) } else { 0 };
    let joined = job.gateway.meter.join(&mut quotas_of.permit, &charges, held_micro_usd, now);
    let joined = joined.map_err(|exceeded| refuse(job, exceeded, now));
    job.settlement.quotas = Some(quotas_of);
    joined
}

/// A place has accepted: what it costs there at most is held, and no more.
pub(super) fn lower(job: &mut Job, target: &Target) {
    if job.settlement.quotas.as_ref().is_some_and(|quotas| quotas.permit.held_micro_usd() > 0) {
        let micro_usd = estimate(job, target);
        if let Some(quotas) = &mut job.settlement.quotas {
            quotas.permit.lower(micro_usd);
        }
    }
}

/// Puts right what a request has used. Money counts in the period of `unix_s`.
pub(super) fn settle(quotas: Quotas, tokens: u64, cost_micro_usd: u64, unix_s: i64) {
    log(&quotas.permit.settle(tokens, cost_micro_usd, unix_s));
}

/// What a request with this usage cost, as far as budgets are concerned, where its price is unknown.
pub(super) fn cautious(usage: &Usage) -> u64 {
    u64::try_from(cost(&CAUTIOUS, usage, 0).micro_usd.0).unwrap_or(0)
}

impl Told {
    /// Tells it in an answer's headers.
    pub(super) fn say(&self, response: &mut HttpResponseBuilder) {
        say(response, &self.headers);
        if let Some(percent) = self.passed_percent {
            response.insert_header((BUDGET_USED.clone(), HeaderValue::from(u16::from(percent))));
        }
    }
}

/// How limits stand, in headers.
pub(super) fn say(response: &mut HttpResponseBuilder, headers: &[Header]) {
    for (name, value) in headers {
        response.insert_header((*name, value.as_str()));
    }
}

fn quotas(job: &Job) -> impl Iterator<Item = &Quota> {
    job.policy.policies().iter().flat_map(|policy| &policy.rules.quotas)
}

/// The subject that is known when a request comes.
fn charge<'a>(job: &'a Job, quota: &'a Quota) -> Option<Charge<'a>> {
    let identity = &job.identity;
    let name = match quota.kind {
        Kind::Tenant => &identity.tenant,
        Kind::Key => identity.key.as_ref()?,
        Kind::Device => &identity.device,
        Kind::Model | Kind::Upstream => return None,
    };
    Some(Charge { quota, name })
}

fn has_budget(charges: &[Charge<'_>]) -> bool {
    charges.iter().any(|charge| !charge.quota.allowance.budgets.is_empty())
}

/// What a request may need, wherever it goes.
fn demand(job: &Job) -> Demand {
    let wish = &job.entry.wish;
    let tokens = wish.prompt_tokens.saturating_add(output_tokens(job));
    // The daemon bounds the bytes of all requests alike.
    let needed = Needed { tokens, input_tokens: wish.prompt_tokens, input_bytes: 0 };
    let has_budget = quotas(job).any(|quota| !quota.allowance.budgets.is_empty());
    let anywhere_micro_usd = if has_budget { dearest(job) } else { 0 };
    Demand { needed, price: Price { anywhere_micro_usd, local_micro_usd: 0 } }
}

fn output_tokens(job: &Job) -> u64 {
    match job.ask.near.task() {
        Task::Embedding | Task::TokenCount => 0,
        Task::Chat | Task::Completion => {
            job.entry.wish.output_tokens_max.map_or(OUTPUT_TOKENS_USUAL, |most| most.min(OUTPUT_TOKENS_USUAL))
        }
    }
}

/// The estimate of the dearest place that may answer. Where none may, it will be refused in any case.
fn dearest(job: &Job) -> u64 {
    let route = job.gateway.dispatcher.choose(&job.entry, &job.snapshot);
    let legs = route.map(|route| route.legs).unwrap_or_default();
    legs.iter().map(|leg| estimate(job, &leg.target)).max().unwrap_or(0)
}

/// What a request may cost at a place, in millionths of a US dollar.
fn estimate(job: &Job, target: &Target) -> u64 {
    let usage =
        Usage { input: Some(job.entry.wish.prompt_tokens), output: Some(output_tokens(job)), ..Usage::default() };
    let prices = job.settlement.account.as_ref().and_then(|account| account.prices(target));
    let known = prices.and_then(|prices| cost(&prices, &usage, 0).complete());
    known.map_or_else(|| cautious(&usage), |known| u64::try_from(known.0).unwrap_or(0))
}

fn now(job: &Job) -> Now {
    let unix_s = i64::try_from(job.gateway.clock.unix_ms() / 1_000).unwrap_or(i64::MAX);
    Now { moment: job.gateway.dispatcher.now(), unix_s }
}

fn since_epoch(now: Now) -> Duration {
    Duration::from_secs(u64::try_from(now.unix_s).unwrap_or(0))
}

fn refuse(job: &Job, exceeded: Box<Exceeded>, now: Now) -> ServeError {
    log(&exceeded.notices);
    let dialect: Dialect = job.settlement.surface.dialect();
    let headers = headers(dialect, exceeded.standing, since_epoch(now)).collect();
    ServeError::Exceeded { exceeded, headers }
}

/// The owner reads in the log how budgets go.
fn log(notices: &[Notice]) {
    for Notice { subject, step, account } in notices {
        let what: Cow<'static, str> = match step {
            Step::Spent(percent) => format!("{percent} % of a budget are spent").into(),
            Step::Degraded => "a budget is used up, and requests stay in the house".into(),
            Step::Stopped => "a budget is used up, and requests are refused".into(),
        };
        warn!(
            policy = %subject.policy,
            per = %subject.kind,
            name = %subject.name,
            period = %account.period.key,
            amount_micro_usd = account.amount_micro_usd,
            spent_micro_usd = account.spent_micro_usd,
            "{what}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_price_is_a_high_one() {
        let usage = |input, output| Usage { input: Some(input), output: Some(output), ..Usage::default() };
        for (input, output, want) in
            [(0, 0, 0), (1_000_000, 0, 10_000_000), (0, 1_000_000, 30_000_000), (100, 10, 1_300)]
        {
            assert_eq!(cautious(&usage(input, output)), want, "{input} {output}");
        }
    }
}
