//! A scripted upstream that speaks OpenAI, Anthropic and Ollama, with one knob per fault.
//!
//! It runs on its own thread, so that a test that blocks never slows it, and it watches every connection for its end
//! in every phase: that is how the suites prove that cancelled work is really given up.

mod anthropic;
mod http;
mod ollama;
mod openai;
mod pieces;
mod route;
mod script;
mod send;
mod shared;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

pub use anthropic::SIGNATURE;
pub use http::Incoming;
pub(crate) use http::find;
use pieces::Rendered;
pub use script::{Answer, Cut, INPUT_TOKENS, Script, Tool};
use send::Sent;
pub use send::gzip;
pub use shared::Record;
use shared::Shared;

/// A running fake upstream; it ends with this value.
#[derive(Debug)]
pub struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The vector of the text with this number.
#[must_use]
pub fn vector(index: usize) -> Vec<f32> {
    let first = u16::try_from(index).map_or(0.0, f32::from);
    vec![first, 0.25, -0.5, 1.0]
}

/// The same vector as OpenAI sends it when base64 is asked for.
#[must_use]
pub fn vector_base64(index: usize) -> String {
    let bytes: Vec<u8> = vector(index).into_iter().flat_map(f32::to_le_bytes).collect();
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

impl Fake {
    /// Starts one with one model, `fake-1`, and healthy answers.
    #[must_use]
    pub fn start() -> Self {
        Self::with_models(&["fake-1"])
    }

    /// Starts one with these models.
    #[must_use]
    pub fn with_models(models: &[&str]) -> Self {
        Self::on("127.0.0.1:0", models)
    }

    /// Starts one on this address.
    #[must_use]
    pub fn on(address: &str, models: &[&str]) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("the fake upstream cannot listen");
        listener.set_nonblocking(true).expect("the fake upstream's socket cannot be set up");
        let address = listener.local_addr().expect("the fake upstream has no address");
        let shared = Arc::new(Shared::new(models.iter().map(|&name| name.to_owned()).collect()));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || run(listener, shared, stopped)
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers like this from now on.
    pub fn answer(&self, script: Script) {
        self.shared.lock().default = script;
    }

    /// Answers like this to requests for this model.
    pub fn answer_model(&self, model: &str, script: Script) {
        self.shared.lock().by_model.insert(model.to_owned(), script);
    }

    /// Answers like this once; several are used in order.
    pub fn answer_next(&self, script: Script) {
        self.shared.lock().next.push_back(script);
    }

    /// Changes the list of its models.
    pub fn set_models(&self, models: &[&str]) {
        self.shared.lock().models = models.iter().map(|&name| name.to_owned()).collect();
    }

    /// Answers questions about itself (lists, health) with this script instead; `None` is healthy again.
    pub fn set_about(&self, script: Option<Script>) {
        self.shared.lock().about = script;
    }

    /// Tells this on a path about the server, like `/slots`.
    pub fn tell(&self, path: &str, text: &str) {
        self.shared.lock().pages.insert(path.to_owned(), (200, text.to_owned()));
    }

    /// Refuses to tell anything on this path.
    pub fn tell_nothing(&self, path: &str, status: u16) {
        self.shared.lock().pages.insert(path.to_owned(), (status, "{\"error\":\"not here\"}".to_owned()));
    }

    /// Answers with this status and text on a path about the server.
    pub fn tell_status(&self, path: &str, status: u16, text: &str) {
        self.shared.lock().pages.insert(path.to_owned(), (status, text.to_owned()));
    }

    /// Answers on a path about the server as it does by itself.
    pub fn untell(&self, path: &str) {
        self.shared.lock().pages.remove(path);
    }

    /// Lists its models as those of this owner, like `vllm`: by that it is known what program it is.
    pub fn set_owner(&self, owner: &str) {
        let models = self.shared.lock().models.clone();
        let data: Vec<Value> =
            models.iter().map(|id| serde_json::json!({"id": id, "object": "model", "owned_by": owner})).collect();
        self.tell("/v1/models", &serde_json::json!({"object": "list", "data": data}).to_string());
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        self.shared.lock().records.iter().filter(|record| record.request.path == path).count()
    }

    /// Lets this many gated tokens go.
    pub fn release(&self, tokens: usize) {
        self.shared.gate.add_permits(tokens);
    }

    /// The generating requests so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Record> {
        self.shared.lock().records.iter().filter(|record| route::generates(&record.request)).cloned().collect()
    }

    /// All requests so far, with those about the server.
    #[must_use]
    pub fn all_requests(&self) -> Vec<Record> {
        self.shared.lock().records.clone()
    }

    /// Waits for the generating request with this number (from 0).
    ///
    /// # Panics
    /// When it does not come within 10 s.
    #[must_use]
    pub fn wait_request(&self, number: usize) -> Record {
        self.wait_for(number, Duration::from_secs(10), |_| true)
            .unwrap_or_else(|| panic!("request {number} did not reach the upstream within 10 s"))
    }

    /// Waits until the generating request with this number is as `ready` wants it.
    pub fn wait_for(&self, number: usize, bound: Duration, ready: impl Fn(&Record) -> bool) -> Option<Record> {
        self.shared.wait(bound, |state| {
            let mut generating = state.records.iter().filter(|record| route::generates(&record.request));
            generating.nth(number).filter(|record| ready(record)).cloned()
        })
    }

    /// Waits until the other side has closed the connection of an unfinished request; gives the time of the close.
    pub fn wait_closed(&self, number: usize, bound: Duration) -> Option<Instant> {
        self.wait_for(number, bound, |record| record.closed_at.is_some()).and_then(|record| record.closed_at)
    }

    /// The JSON body of the generating request with this number.
    #[must_use]
    pub fn body(&self, number: usize) -> Value {
        serde_json::from_slice(&self.wait_request(number).request.body).unwrap_or(Value::Null)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(listener: std::net::TcpListener, shared: Arc<Shared>, stopped: tokio::sync::oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no runtime");
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener).expect("the listener cannot join the runtime");
        let connections = AtomicUsize::new(0);
        let mut tasks = tokio::task::JoinSet::new();
        let accept = async {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let number = connections.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(connection(Arc::clone(&shared), stream, number));
                while tasks.try_join_next().is_some() {}
            }
        };
        tokio::select! { _ = stopped => {}, () = accept => {} }
    });
}

async fn connection(shared: Arc<Shared>, mut stream: TcpStream, number: usize) {
    let mut buffer = Vec::new();
    loop {
        let Some(request) = http::read(&mut stream, &mut buffer).await else { return };
        let id = shared.record(request.clone(), number);
        let (mut reader, mut writer) = stream.split();
        let (script, sent) = tokio::select! {
            biased;
            () = closed(&mut reader, &mut buffer) => {
                shared.update(id, |record| record.closed_at = Some(Instant::now()));
                return;
            }
            answered = answer(&shared, id, &request, &mut writer) => answered,
        };
        if sent == Sent::CutReset {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        if sent == Sent::Lost {
            shared.update(id, |record| record.closed_at = Some(Instant::now()));
        }
        if sent != Sent::Whole {
            return;
        }
        shared.update(id, |record| record.finished = true);
        if script.close_after {
            return;
        }
    }
}

async fn answer(
    shared: &Shared,
    id: usize,
    request: &Incoming,
    writer: &mut tokio::net::tcp::WriteHalf<'_>,
) -> (Script, Sent) {
    let (script, rendered) = if route::generates(request) {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let mut script = shared.script_for(body["model"].as_str().unwrap_or_default());
        if script.numbered {
            script.tokens = vec![id.to_string()];
        }
        if let Some(writes) = &script.writes {
            script.tokens = vec![writes.text(&body)];
        }
        let rendered = route::generated(&script, request);
        (script, rendered)
    } else {
        if let Some((status, text)) = shared.page(request.path.split('?').next().unwrap_or_default()) {
            let rendered = Rendered::text(status, text);
            let script = Script::default();
            let sent = send::send(writer, shared, id, &script, rendered, request.method == "HEAD").await;
            return (script, sent);
        }
        let (about, models) = shared.about();
        let rendered = about
            .as_ref()
            .map_or_else(|| Some(route::about(&models, request)), |script| route::generated(script, request));
        (about.unwrap_or_default(), rendered)
    };
    let Some(rendered) = rendered else {
        if matches!(script.answer, Answer::Hang) {
            std::future::pending::<()>().await;
        }
        return (script, Sent::CutFin);
    };
    let sent = send::send(writer, shared, id, &script, rendered, request.method == "HEAD").await;
    (script, sent)
}

/// Ends when the other side closes or resets; bytes of a next request are kept.
async fn closed(reader: &mut tokio::net::tcp::ReadHalf<'_>, buffer: &mut Vec<u8>) {
    while !matches!(reader.read_buf(buffer).await, Ok(0) | Err(_)) {}
}
