//! The benchmark's upstream as a program: `fake_upstream --port 9100 --tokens 64 --gap-ms 20 --reply-bytes 1024`.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use airlane_tests::fast::Fast;

const USAGE: &str = "fake_upstream [--port N] [--tokens N] [--gap-ms N] [--reply-bytes N] [--threads N]";

struct Arguments {
    port: u16,
    tokens: usize,
    gap_ms: u64,
    reply_bytes: usize,
    threads: usize,
}

fn arguments() -> Option<Arguments> {
    let mut found = Arguments { port: 9100, tokens: 64, gap_ms: 0, reply_bytes: 1024, threads: 2 };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words.next()?;
        match name.as_str() {
            "--port" => found.port = value.parse().ok()?,
            "--tokens" => found.tokens = value.parse().ok()?,
            "--gap-ms" => found.gap_ms = value.parse().ok()?,
            "--reply-bytes" => found.reply_bytes = value.parse().ok()?,
            "--threads" => found.threads = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(found)
}

/// Each thread has its own runtime and takes connections from the shared socket.
fn worker(listener: TcpListener, fast: Arc<Fast>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no runtime");
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("the listener cannot join the runtime");
        let mut tasks = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let fast = Arc::clone(&fast);
            tasks.spawn(async move { fast.serve(stream).await });
            while tasks.try_join_next().is_some() {}
        }
    });
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let address = SocketAddr::from(([127, 0, 0, 1], arguments.port));
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let gap = Duration::from_millis(arguments.gap_ms);
    let fast = Arc::new(Fast::new(arguments.tokens, gap, arguments.reply_bytes));
    listener.set_nonblocking(true).expect("the socket cannot be set up");
    println!("ready http://{}", listener.local_addr().expect("no address"));
    let threads: Vec<_> = (0..arguments.threads.max(1))
        .map(|_| {
            let (listener, fast) = (listener.try_clone().expect("the socket cannot be shared"), Arc::clone(&fast));
            std::thread::spawn(move || worker(listener, fast))
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
    ExitCode::SUCCESS
}
