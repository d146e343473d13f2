//! The real daemon as a child process, on free ports, with its own config and data folder.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Exchange, Request, Response, send};
use crate::programs;
pub use crate::setup::Setup;

/// A running daemon; it is killed with this value.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    folder: TempDir,
    endpoints: Vec<SocketAddr>,
    console: Vec<SocketAddr>,
    log: Arc<Mutex<String>>,
    setup: Setup,
}

impl Daemon {
    pub(crate) fn start(setup: Setup) -> Self {
        let folder = TempDir::new().expect("no temporary folder");
        fs::write(folder.path().join("airlane.toml"), setup.text()).expect("the config cannot be written");
        Self::start_in(folder, setup)
    }

    /// Kills it as the kernel does, without a word, and starts it again on the same data, at the same endpoint unless
    /// `moves`.
    #[must_use]
    pub fn kill_and_start(mut self, moves: bool) -> Self {
        self.kill();
        let path = self.folder.path().join("airlane.toml");
        let text = fs::read_to_string(&path).expect("the config cannot be read");
        let fixed = format!("listen = [\"{}\"]", self.address());
        let text = if moves { text } else { text.replacen("listen = [\"127.0.0.1:0\"]", &fixed, 1) };
        fs::write(&path, text).expect("the config cannot be written");
        // The files of the one that was killed would be taken for those of its successor.
        let _ = fs::remove_file(self.folder.path().join("data/daemon.json"));
        let (folder, setup) =
            (std::mem::replace(&mut self.folder, TempDir::new().expect("a folder")), self.setup.clone());
        drop(self);
        Self::start_in(folder, setup)
    }

    /// Kills it as the kernel does, without a word.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn start_in(folder: TempDir, setup: Setup) -> Self {
        let data = folder.path().join("data");
        let mut child = program(&setup)
            .arg("run")
            .arg("--config")
            .arg(folder.path().join("airlane.toml"))
            .arg("--data")
            .arg(&data)
            .args(&setup.arguments)
            .env_clear()
            .env("DATA", data)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(setup.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon cannot be started");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().expect("stderr is piped"), &log);
        collect(child.stdout.take().expect("stdout is piped"), &log);
        let mut daemon = Self { child, folder, endpoints: Vec::new(), console: Vec::new(), log, setup };
        daemon.wait_ready();
        daemon
    }

    fn wait_ready(&mut self) {
        let path = self.data().join("daemon.json");
        self.poll("daemon.json", || path.exists());
        let text = fs::read_to_string(&path).expect("daemon.json cannot be read");
        let told: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("daemon.json: {error}: {text}"));
        self.endpoints = addresses(&told["endpoint"]);
        self.console = addresses(&told["console"]);
        assert!(!self.endpoints.is_empty(), "daemon.json names no endpoint: {text}");
        if text.contains("https://") {
            return;
        }
        let endpoint = self.endpoints[0];
        self.poll("/readyz", || send(endpoint, &Request::get("/readyz")).status() == 200);
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it is not within 20 s, or the daemon has ended; shows the log.
    pub fn poll(&mut self, what: &str, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the daemon ended ({status}) before {what}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "no {what} within 20 s:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where the endpoint listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.endpoints[0]
    }

    /// All listeners of the endpoint.
    #[must_use]
    pub fn endpoints(&self) -> &[SocketAddr] {
        &self.endpoints
    }

    /// All listeners of the console.
    #[must_use]
    pub fn console(&self) -> &[SocketAddr] {
        &self.console
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its folder, with `airlane.toml` and `data`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Its data, as it sees it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        let data = self.folder.path().join("data");
        match (&self.setup.mounts, data.strip_prefix("/")) {
            (Some(_), Ok(below)) => Path::new("/proc").join(self.pid().to_string()).join("root").join(below),
            _ => data,
        }
    }

    /// Runs this in a shell in the daemon's own mount namespace; the data folder is `$DATA`.
    ///
    /// # Panics
    /// When it fails.
    pub fn remount(&self, script: &str) {
        let status = Command::new("nsenter")
            .args(["--preserve-credentials", "--user", "--mount", "--target", &self.pid().to_string()])
            .args(["sh", "-c", script])
            .env("DATA", self.folder.path().join("data"))
            .status();
        assert!(status.as_ref().is_ok_and(ExitStatus::success), "{script}: {status:?}");
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has logged and printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends one request and reads the whole answer.
    #[must_use]
    pub fn send(&self, request: &Request) -> Response {
        send(self.address(), request)
    }

    /// `GET`.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path))
    }

    /// `POST` with JSON.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.send(&Request::post(path, body))
    }

    /// Sends a request and leaves the answer to be read.
    #[must_use]
    pub fn open(&self, request: &Request) -> Exchange {
        Exchange::start(self.address(), request)
    }

    /// Replaces the config file in one step, as editors do.
    pub fn write_config(&self, text: &str) {
        let new = self.folder.path().join("airlane.toml.new");
        fs::write(&new, text).expect("the config cannot be written");
        fs::rename(new, self.folder.path().join("airlane.toml")).expect("the config cannot be replaced");
    }

    /// Sends it a signal by name, like `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "the signal {name} cannot be sent");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it has not ended within the bound.
    pub fn wait_exit(&mut self, bound: Duration) -> ExitStatus {
        let deadline = Instant::now() + bound;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon has not ended within {bound:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Memory in use now, in KiB.
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("no /proc entry");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("no VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the daemon\n{}", self.log());
        }
    }
}

/// The daemon, or a shell that becomes it in a mount namespace of its own.
fn program(setup: &Setup) -> Command {
    let Some(script) = &setup.mounts else { return Command::new(programs::airlane()) };
    let mut command = Command::new("unshare");
    let script = format!("set -e; mkdir -p \"$DATA\"; {script}\nexec \"$@\"");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]).arg(programs::airlane());
    command
}

/// Runs the program to its end with these arguments; gives exit code, stdout and stderr.
#[must_use]
pub fn airlane(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(programs::airlane())
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG")
        .output()
        .expect("the program cannot be started");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn addresses(urls: &Value) -> Vec<SocketAddr> {
    let urls = urls.as_array().into_iter().flatten().filter_map(Value::as_str);
    let parsed = urls.filter_map(|url| url.split("://").nth(1)?.trim_end_matches('/').parse().ok());
    // Who listens everywhere is called over the loopback interface.
    parsed
        .map(|address: SocketAddr| if address.ip().is_unspecified() { local(address.port()) } else { address })
        .collect()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn collect(source: impl std::io::Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(source);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            log.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}
