//! What a test wants of the daemon before it starts.

use crate::daemon::Daemon;
use crate::fake::Fake;

/// What a test wants in the daemon's config and environment.
#[derive(Debug, Default, Clone)]
pub struct Setup {
    endpoint: Vec<String>,
    discovery: Vec<String>,
    tables: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) mounts: Option<String>,
    log_human: bool,
    bare: bool,
}

impl Setup {
    /// An empty config: no upstream, no discovery.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more line in `[endpoint]`.
    #[must_use]
    pub fn endpoint(mut self, line: &str) -> Self {
        self.endpoint.push(line.to_owned());
        self
    }

    /// One more line in `[discovery]`.
    #[must_use]
    pub fn discovery(mut self, line: &str) -> Self {
        self.discovery.push(line.to_owned());
        self
    }

    /// One more table.
    #[must_use]
    pub fn table(mut self, text: &str) -> Self {
        self.tables.push(text.to_owned());
        self
    }

    /// One more upstream with these further lines.
    #[must_use]
    pub fn upstream(self, name: &str, kind: &str, url: &str, lines: &str) -> Self {
        let url = if kind == "loopback" { String::new() } else { format!("url = \"{url}\"\n") };
        self.table(&format!("[[upstream]]\nname = \"{name}\"\nkind = \"{kind}\"\n{url}{lines}\n"))
    }

    /// The fake as an upstream of this kind.
    #[must_use]
    pub fn fake(self, name: &str, kind: &str, fake: &Fake) -> Self {
        self.upstream(name, kind, &fake.url(), "")
    }

    /// One more alias.
    #[must_use]
    pub fn alias(self, name: &str, models: &[&str]) -> Self {
        self.table(&format!("[[alias]]\nname = \"{name}\"\nmodels = {models:?}\n"))
    }

    /// One more environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more argument of `airlane run`.
    #[must_use]
    pub fn argument(mut self, text: &str) -> Self {
        self.arguments.push(text.to_owned());
        self
    }

    /// Runs in a mount namespace of its own, in which a shell has done this before; the data folder is there, and is `$DATA`.
    #[must_use]
    pub fn mounts(mut self, script: &str) -> Self {
        self.mounts = Some(script.to_owned());
        self
    }

    /// Logs for people instead of JSON.
    #[must_use]
    pub fn log_human(mut self) -> Self {
        self.log_human = true;
        self
    }

    /// Nothing but the tables given here: the test writes everything.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// The config file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let tables = self.tables.join("\n");
        if self.bare {
            return tables;
        }
        let format = if self.log_human { "human" } else { "json" };
        let (endpoint, discovery) = (self.endpoint.join("\n"), self.discovery.join("\n"));
        let listen = if endpoint.contains("listen = [\"") { "" } else { "listen = [\"127.0.0.1:0\"]\n" };
        format!(
            "[endpoint]\n{listen}{endpoint}\n[console]\nlisten = [\"127.0.0.1:0\"]\n\
             [log]\nformat = \"{format}\"\nlevel = \"debug\"\n[discovery]\nenabled = false\n{discovery}\n{tables}"
        )
    }

    /// Starts the daemon and waits until it is ready.
    #[must_use]
    pub fn start(self) -> Daemon {
        Daemon::start(self)
    }
}
