//! Log lines on standard error: for people on a terminal, JSON by choice.

use std::io::IsTerminal;

use domain::config::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging. Called once.
pub(crate) fn start(log: &Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Libraries may show headers and bodies below `warn`: their lines stay out, whatever the level.
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("airlane", level);
    let layer = match log.format {
        LogFormat::Human => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    // A second start in one process keeps the first.
    let _ = tracing_subscriber::registry().with(layer.with_filter(ours)).try_init();
}
