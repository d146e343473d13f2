//! The command line, written for the owner of a router.

mod chat;
mod check;
mod daemon;
mod explain;
mod kept;
mod models;
mod node;
mod plain;
mod status;
mod tenants;
mod top;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::daemon::NotRunning;
use self::plain::plain;
use crate::assemble;
use crate::settings::{Overrides, Problems, Source};

/// One address for all AI in the house: point your programs at this box, and it finds the model that answers.
#[derive(Debug, Parser)]
#[command(name = "airlane", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Begin with:  airlane run                 serve what is found on this machine
             airlane check               see what that would be, and whether the config is right
             airlane chat \"Hello\"         ask a model through the running airlane

Exit codes:  0 done · 1 it failed, the message says why · 2 the command line or the config is wrong
             3 nothing there: no airlane is running, or no model that would answer was found";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve. Stops on Ctrl-C or SIGTERM after the answers in progress; SIGHUP reads the config again
    Run {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Look for mistakes in the config, and for model servers on this machine; changes nothing
    Check {
        #[command(flatten)]
        source: SourceArgs,
        /// Only list the upstreams that would be used; exit code 3 if there is none
        #[arg(long)]
        discover: bool,
    },
    /// Show how the running airlane does
    Status {
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// List the models that can be asked for
    Models {
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Ask a model and watch the answer come
    Chat {
        #[command(flatten)]
        daemon: DaemonArgs,
        /// The model's name as `airlane models` shows it; the first of them unless given
        #[arg(short, long)]
        model: Option<String>,
        /// What to say; read from standard input unless given
        prompt: Vec<String>,
    },
    /// Say where a request would go, and why; sends nothing to any model
    Explain {
        #[command(flatten)]
        daemon: DaemonArgs,
        #[command(flatten)]
        question: QuestionArgs,
    },
    /// Watch cards, upstreams and requests; one look where the output is no terminal. Ctrl-C ends it
    Top {
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Boxes with GPUs that report to this airlane: list them, take them in, forget them
    Node {
        #[command(flatten)]
        daemon: DaemonArgs,
        #[command(flatten)]
        node: node::NodeArgs,
    },
    /// Kept answers: how many there are, what they are about, throwing them away
    Cache {
        #[command(flatten)]
        daemon: DaemonArgs,
        #[command(flatten)]
        cache: kept::CacheArgs,
    },
    /// Who pays: list tenants, make them, give them devices that need no key
    Tenant {
        #[command(flatten)]
        daemon: DaemonArgs,
        #[command(flatten)]
        tenant: tenants::TenantArgs,
    },
    /// API keys of this airlane: make, list, rotate and revoke them
    Key {
        #[command(flatten)]
        daemon: DaemonArgs,
        #[command(flatten)]
        key: tenants::KeyArgs,
    },
    /// Show the version
    Version,
}

#[derive(Debug, Args)]
struct SourceArgs {
    /// The config file. Without one everything has its default and upstreams are looked for
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve clients on this address instead of the configured ones; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<String>,
    /// Serve the console on this address instead of the configured ones; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT")]
    console: Vec<String>,
    /// Keep data in this directory instead of the configured one
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Be a node: report cards and models to a router, once it has paired with this machine (`airlane node code`)
    #[arg(long)]
    node: bool,
}

#[derive(Debug, Args)]
struct DaemonArgs {
    /// Base URL of the airlane to ask, as its clients write it; found by itself on this machine
    #[arg(long, env = "AIRLANE_URL", value_name = "URL", global = true)]
    url: Option<String>,
    /// The config file that the running airlane uses, if it is not found otherwise
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct QuestionArgs {
    /// The model's name as a client would ask for it; the first of `airlane models` unless given
    #[arg(short, long)]
    model: Option<String>,
    /// The path that the client would call
    #[arg(long, value_name = "PATH", default_value = "/v1/chat/completions")]
    surface: String,
    /// How urgent the request is: interactive, normal or bulk
    #[arg(long, default_value = "normal")]
    lane: String,
    #[command(flatten)]
    asker: AskerArgs,
    /// A file with the whole body of a request; - is standard input
    #[arg(long, value_name = "BODY.json", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// What the request would say, if there is no file
    prompt: Vec<String>,
}

/// Who would ask, for policies.
#[derive(Debug, Args)]
struct AskerArgs {
    /// The program that would ask, as it calls itself
    #[arg(long)]
    app: Option<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    client: Option<std::net::IpAddr>,
    /// The tenant who would ask
    #[arg(long)]
    tenant: Option<String>,
    /// The name of the key that would be shown
    #[arg(long)]
    key: Option<String>,
    /// A group that the tenant is in; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
}

impl SourceArgs {
    fn into_source(self) -> Source {
        Source {
            file: self.config,
            overrides: Overrides { listen: self.listen, console: self.console, data: self.data, node: self.node },
        }
    }
}

/// How a command ended without having failed.
enum Done {
    /// It did what was asked.
    Yes,
    /// What was asked for is not there.
    NothingThere,
}

/// Runs the command that was given.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(Done::Yes) => ExitCode::SUCCESS,
        Ok(Done::NothingThere) => ExitCode::from(3),
        Err(error) => {
            eprintln!("airlane: {}", plain(&format!("{error:#}")));
            ExitCode::from(match () {
                () if error.is::<Problems>() => 2,
                () if error.is::<NotRunning>() => 3,
                () => 1,
            })
        }
    }
}

fn run(command: Command) -> anyhow::Result<Done> {
    let system = actix_web::rt::System::new();
    match command {
        Command::Run { source } => {
            system.block_on(assemble::run(source.into_source()))?;
            Ok(Done::Yes)
        }
        Command::Check { source, discover } => system.block_on(check::run(source.into_source(), discover)),
        Command::Status { daemon } => system.block_on(status::run(&daemon)),
        Command::Models { daemon } => system.block_on(models::run(&daemon)),
        Command::Chat { daemon, model, prompt } => system.block_on(chat::run(&daemon, model, prompt)),
        Command::Explain { daemon, question } => system.block_on(explain::run(&daemon, question)),
        Command::Top { daemon } => system.block_on(top::run(&daemon)),
        Command::Node { daemon, node } => system.block_on(node::run(&daemon, node)),
        Command::Cache { daemon, cache } => system.block_on(kept::run(&daemon, cache)),
        Command::Tenant { daemon, tenant } => system.block_on(tenants::tenant(&daemon, tenant)),
        Command::Key { daemon, key } => system.block_on(tenants::key(&daemon, key)),
        Command::Version => {
            println!("airlane {}", env!("CARGO_PKG_VERSION"));
            Ok(Done::Yes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
