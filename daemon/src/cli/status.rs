//! `airlane status`: how the running airlane does.

use super::daemon::{Daemon, NotRunning};
use super::{DaemonArgs, Done};

pub(super) async fn run(args: &DaemonArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    let body = match daemon.console("/api/v1/status").await {
        Ok(body) => body,
        Err(error) if error.is::<NotRunning>() => {
            println!("{error}");
            return Ok(Done::NothingThere);
        }
        Err(error) => return Err(error),
    };
    let overview: serde_json::Value = serde_json::from_slice(&body)?;
    println!("{overview:#}");
    Ok(Done::Yes)
}
