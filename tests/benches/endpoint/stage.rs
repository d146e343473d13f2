//! The upstream and the proxies before it, started anew for each scenario of each round.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{Process, command};
use crate::scenario::{Load, REPLY_BYTES, Scenario};

/// Longest wait for a program to start.
const START_MAX: Duration = Duration::from_secs(10);

/// Who is before the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// Nobody.
    Direct,
    /// nginx with `proxy_pass`, and with `proxy_cache` where answers are kept.
    Nginx,
    /// Airlane.
    Airlane,
}

impl Target {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Nginx, Self::Airlane];

    /// The name in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Airlane => "airlane",
        }
    }
}

/// A program and its address.
pub(crate) struct Server {
    /// The program.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Everything that one scenario needs.
pub(crate) struct Stage {
    servers: [Server; 3],
    /// Configs, logs and the load's script.
    pub folder: TempDir,
}

impl Stage {
    /// Starts the upstream with the scenario's answers, and both proxies.
    pub(crate) fn set_up(scenario: &Scenario, airlane: &Path) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let direct = upstream(scenario)?;
        let nginx = nginx(folder.path(), direct.address, matches!(scenario.load, Load::Unary { kept: true, .. }))?;
        let airlane = start_airlane(airlane, folder.path(), direct.address)?;
        Ok(Self { servers: [direct, nginx, airlane], folder })
    }

    /// The server that the load is sent to.
    pub(crate) const fn server(&self, target: Target) -> &Server {
        &self.servers[target as usize]
    }
}

fn upstream(scenario: &Scenario) -> Result<Server, String> {
    let (gap, tokens) = match scenario.load {
        Load::Unary { .. } => (Duration::ZERO, 1),
        Load::Streams { gap, tokens, .. } => (gap, tokens),
    };
    let (gap_ms, tokens, reply) = (gap.as_millis().to_string(), tokens.to_string(), REPLY_BYTES.to_string());
    let arguments = ["--port", "0", "--tokens", &tokens, "--gap-ms", &gap_ms, "--reply-bytes", &reply];
    let mut command = command(env!("CARGO_BIN_EXE_fake_upstream"), &arguments);
    command.stdout(Stdio::piped());
    let mut process = Process::start(command, false)?;
    let mut line = String::new();
    let output = process.output().ok_or("the upstream has no output")?;
    BufReader::new(output).read_line(&mut line).map_err(|error| format!("the upstream: {error}"))?;
    let address = line.trim().strip_prefix("ready http://").and_then(|address| address.parse().ok());
    Ok(Server { process, address: address.ok_or(format!("the upstream said {line:?}"))? })
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))
}

fn nginx(folder: &Path, upstream: SocketAddr, keeps: bool) -> Result<Server, String> {
    let address = free_address()?;
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    // As the owner of the folder, whoever that is: nginx's own choice, nobody, may not enter it.
    let user = if is_root() { "user root;" } else { "" };
    // What it would take to keep answers of chats: a key of the whole body.
    let cache = if keeps {
        "proxy_cache kept; proxy_cache_methods POST; proxy_cache_key $request_uri$request_body; proxy_cache_valid 1h;"
    } else {
        "proxy_buffering off;"
    };
    let config = format!(
        "{user} worker_processes {workers}; worker_rlimit_nofile 8192; pid nginx.pid; error_log error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_buffer_size 128k; client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  keepalive_requests 100000000; tcp_nodelay on;
  proxy_cache_path kept keys_zone=kept:10m;
  upstream bench {{ server {upstream}; keepalive 1024; keepalive_requests 100000000; }}
  server {{
    listen {address};
    location / {{ proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header Connection \"\"; {cache} }}
  }}
}}
"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config).map_err(|error| format!("{}: {error}", path.display()))?;
    let (prefix, path) = (folder.display().to_string(), path.display().to_string());
    let command = command("nginx", &["-p", &prefix, "-c", &path, "-g", "daemon off;"]);
    let mut process = Process::start(command, true)?;
    wait_until("nginx", &mut process, || TcpStream::connect(address).is_ok())?;
    Ok(Server { process, address })
}

/// Does this program run as root?
fn is_root() -> bool {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

fn start_airlane(binary: &Path, folder: &Path, upstream: SocketAddr) -> Result<Server, String> {
    let (address, console) = (free_address()?, free_address()?);
    let folder = folder.join("airlane");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // nginx writes no line per request either.
    let config = format!(
        "[endpoint]\nlisten = [\"{address}\"]\n[console]\nlisten = [\"{console}\"]\n[data]\ndir = {folder:?}\n\
         [log]\nlevel = \"warn\"\n[discovery]\nenabled = false\n\
         [[upstream]]\nname = \"fast\"\nkind = \"openai\"\nurl = \"http://{upstream}\"\nmodels = [\"*\"]\n"
    );
    let path = folder.join("airlane.toml");
    fs::write(&path, config).map_err(|error| format!("{}: {error}", path.display()))?;
    let command = command(&binary.display().to_string(), &["run", "--config", &path.display().to_string()]);
    let mut process = Process::start(command, true)?;
    wait_until("airlane", &mut process, || ready(address))?;
    Ok(Server { process, address })
}

/// Does `/readyz` answer 200?
fn ready(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(answer.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn wait_until(name: &str, process: &mut Process, mut reached: impl FnMut() -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !reached() {
        if let Some(status) = process.ended() {
            return Err(format!("{name} ended while it started: {status}"));
        }
        if began.elapsed() > START_MAX {
            return Err(format!("{name} was not ready within {START_MAX:?}"));
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Start times and memory at rest.
pub(crate) struct Starts {
    /// From the start of the process until `/readyz` answers 200, sorted.
    pub ready: Vec<Duration>,
    /// Airlane's memory two seconds after the last start.
    pub idle_kib: u64,
    /// nginx's memory at rest, master and workers.
    pub nginx_idle_kib: u64,
}

/// Starts Airlane `times` times.
pub(crate) fn starts(airlane: &Path, times: usize) -> Result<Starts, String> {
    let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
    let upstream = upstream(&crate::scenario::SCENARIOS[0])?;
    let mut ready = Vec::new();
    for _ in 1..times {
        let began = Instant::now();
        let _server = start_airlane(airlane, folder.path(), upstream.address)?;
        ready.push(began.elapsed());
    }
    let began = Instant::now();
    let last = start_airlane(airlane, folder.path(), upstream.address)?;
    ready.push(began.elapsed());
    let nginx = nginx(folder.path(), upstream.address, false)?;
    sleep(Duration::from_secs(2));
    ready.sort();
    Ok(Starts { ready, idle_kib: last.process.rss_kib(), nginx_idle_kib: nginx.process.rss_kib() })
}
