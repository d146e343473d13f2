//! Talks to a running airlane.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use domain::config::{Config, Draft, UpstreamDraft, check};
use domain::upstream::Upstream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DaemonArgs;
use crate::assemble::{DaemonFile, data_dirs};
use crate::settings::{Overrides, Source};
use crate::upstreams::{CallError, Clients, Fault, Outbound, Reply, Trust};

/// A running airlane, which is called like an upstream.
pub(super) struct Daemon {
    clients: Clients,
    endpoint: Upstream,
    console: Upstream,
    /// There is one URL, which may be that of the endpoint or of the console.
    is_guessed: bool,
}

impl Daemon {
    /// Finds the running airlane: by URL, by what it left in its data directory, or on the usual port.
    ///
    /// # Errors
    /// The URL or the config is wrong.
    pub(super) fn find(args: &DaemonArgs) -> anyhow::Result<Self> {
        let config = match &args.config {
            Some(file) => Source { file: Some(file.clone()), overrides: Overrides::default() }.load()?,
            None => Config::default(),
        };
        let found = DaemonFile::find(&data_dirs(&config.data.dir));
        let first = |urls: &[String]| urls.first().cloned();
        let (endpoint, console) = match (&args.url, &found) {
            (Some(url), _) => (url.clone(), url.clone()),
            (None, Some(found)) => {
                let endpoint = first(&found.endpoint).unwrap_or_default();
                (endpoint.clone(), first(&found.console).unwrap_or(endpoint))
            }
            (None, None) => ("http://127.0.0.1:8484".to_owned(), "http://127.0.0.1:8485".to_owned()),
        };
        let certificate = config.endpoint.tls.as_ref().map(|tls| tls.cert.as_path());
        Ok(Self {
            clients: Clients::new(Arc::new(Trust::default())),
            endpoint: upstream(&endpoint, certificate)?,
            is_guessed: console == endpoint,
            console: upstream(&console, certificate)?,
        })
    }

    /// Where it is believed to be.
    pub(super) fn url(&self) -> &str {
        &self.endpoint.origin
    }

    /// A page of the console; `None` where the one URL that there is turns out to be the endpoint's.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn console(&self, path: &str) -> anyhow::Result<Option<Bytes>> {
        self.of_console(path, None).await
    }

    /// What the console answers to a body; `None` as for [`Daemon::console`].
    ///
    /// # Errors
    /// It does not answer, or with an error.
    pub(super) async fn ask_console(&self, path: &str, body: Bytes) -> anyhow::Result<Option<Bytes>> {
        self.of_console(path, Some(body)).await
    }

    /// What the console tells, read; `elsewhere` says what to do where it cannot be reached.
    ///
    /// # Errors
    /// It does not answer, or not as an airlane of this version does.
    pub(super) async fn read<A: DeserializeOwned>(&self, path: &str, elsewhere: &'static str) -> anyhow::Result<A> {
        answer(self.console(path).await?, elsewhere)
    }

    /// What comes of a wish to the console; `elsewhere` as for [`Daemon::read`].
    ///
    /// # Errors
    /// It does not answer, or says why nothing came of it.
    pub(super) async fn wish<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        wish: &Q,
        elsewhere: &'static str,
    ) -> anyhow::Result<A> {
        answer(self.ask_console(path, Bytes::from(serde_json::to_vec(wish)?)).await?, elsewhere)
    }

    /// What the console tells, as it comes, however long it is; `elsewhere` as for [`Daemon::read`].
    ///
    /// # Errors
    /// It does not answer, or with an error.
    pub(super) async fn console_stream(&self, path: &str, elsewhere: &'static str) -> anyhow::Result<Reply> {
        self.call_console(path, None, true).await?.context(elsewhere)
    }

    async fn of_console(&self, path: &str, body: Option<Bytes>) -> anyhow::Result<Option<Bytes>> {
        let Some(mut reply) = self.call_console(path, body, false).await? else { return Ok(None) };
        reply.body.collect(ANSWER_BYTES_MAX).await.map(Some).map_err(|fault| said(&self.console, fault))
    }

    async fn call_console(&self, path: &str, body: Option<Bytes>, stream: bool) -> anyhow::Result<Option<Reply>> {
        let outbound = || Outbound { path, body: body.clone(), stream, ..Outbound::default() };
        match self.clients.call(&self.console, outbound).await {
            Err(CallError { fault: Fault::Status { status: 404, .. }, .. }) if self.is_guessed => Ok(None),
            answered => answered.map(Some).map_err(|error| said(&self.console, error.fault)),
        }
    }

    /// An answer of the endpoint in one piece.
    ///
    /// # Errors
    /// It does not answer, or with an error.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        let mut reply = self.call(&self.endpoint, path, None, false).await?;
        reply.body.collect(ANSWER_BYTES_MAX).await.map_err(|fault| said(&self.endpoint, fault))
    }

    /// A streamed answer of the endpoint.
    ///
    /// # Errors
    /// It does not answer, or with an error.
    pub(super) async fn stream(&self, path: &str, body: Bytes) -> anyhow::Result<Reply> {
        self.call(&self.endpoint, path, Some(body), true).await
    }

    async fn call(&self, upstream: &Upstream, path: &str, body: Option<Bytes>, stream: bool) -> anyhow::Result<Reply> {
        let outbound = || Outbound { path, body: body.clone(), stream, ..Outbound::default() };
        self.clients.call(upstream, outbound).await.map_err(|error: CallError| said(upstream, error.fault))
    }
}

fn answer<A: DeserializeOwned>(body: Option<Bytes>, elsewhere: &'static str) -> anyhow::Result<A> {
    serde_json::from_slice(&body.context(elsewhere)?).context("what answers there is no airlane of this version")
}

/// Largest answer that is shown.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A failure in the words of somebody who called airlane, not an upstream.
pub(super) fn said(upstream: &Upstream, fault: Fault) -> anyhow::Error {
    match fault {
        Fault::Connect(_) => anyhow!(NotRunning { url: upstream.origin.clone() }),
        Fault::Status { failure, .. } | Fault::Reported(failure) => anyhow!("{}", failure.message),
        fault @ (Fault::Timeout { .. } | Fault::Broken(_) | Fault::NotAnAnswer(_)) => {
            anyhow!("{}", CallError::new(upstream, fault))
        }
    }
}

/// Nobody answers.
#[derive(Debug, thiserror::Error)]
#[error("no airlane answers at {url}; start it with `airlane run`, or give its address with --url")]
pub(super) struct NotRunning {
    url: String,
}

fn upstream(url: &str, certificate: Option<&Path>) -> anyhow::Result<Upstream> {
    let draft = UpstreamDraft {
        name: Some("local".to_owned()),
        kind: Some("openai".to_owned()),
        url: Some(url.trim_end_matches("/v1").to_owned()),
        ca_file: certificate.map(|file| file.display().to_string()),
        ..UpstreamDraft::default()
    };
    let config = check(&Draft { upstreams: vec![draft], ..Draft::default() });
    let config = config.map_err(|problems| {
        let reason = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
        anyhow!("{url} {reason}")
    })?;
    config.upstreams.into_iter().next().context("no URL was given")
}
