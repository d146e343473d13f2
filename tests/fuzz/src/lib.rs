//! What the fuzz targets share: foreign bytes through every way that they can take in the house.
//!
//! Nothing here may panic, hang or grow without bound; where two ways lead to one result, the results are compared.

pub mod settings;

use std::time::Duration;

use bytes::Bytes;
use domain::calendar::Zone;
use domain::policy::{Asks, When};
use domain::semantic::{Bar, Signature, Vector, Verdict, check, gate};
use domain::surface::Surface;
use wire::exchange::{
    Ask, Step, Transcoder, Whole, answer, may_be_kept, read_judge, read_vector, replay, replay_stream, said, whole_of_stream,
};
use wire::failure::{ErrorBody, FailureKind};
use wire::reply::ReplyContext;

const ELAPSED: Duration = Duration::from_millis(1_234);

/// A policy's condition: what is compiled is bounded, and worked out for any request.
pub fn condition(text: &str) {
    let lines = text.lines().count().max(1);
    match When::compile(text, &Zone::utc()) {
        Err(mistake) => assert!((1..=lines + 1).contains(&mistake.line) && mistake.column > 0, "{mistake}"),
        Ok(when) => {
            let models = ["gpt-5".to_owned(), "qwen".to_owned()];
            let asks = Asks { tenant: "mia", app: "curl", models: &models, groups: &models, ..Asks::default() };
            assert_eq!(when.holds(&asks), when.holds(&asks));
        }
    }
}

/// What every encoder is told.
fn context() -> ReplyContext {
    ReplyContext { unique: "f00d".into(), model: "m".into(), created_ms: 1_700_000_000_000, include_usage: true }
}

/// A client's body on each of `surfaces`: read, and written for every upstream surface.
pub fn request(surfaces: &[Surface], data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for &surface in surfaces {
        let Ok(ask) = Ask::read(surface, &body) else { continue };
        assert_eq!(ask.canonical(), ask.canonical());
        assert!(ask.head(64).len() <= 64);
        for far in Surface::ALL {
            for host in ["api.openai.com", "gpu-box"] {
                let Ok(sent) = ask.outgoing(far, "model", host) else { continue };
                // What is sent to an upstream is at least a body that we would take ourselves.
                let again = wire::json::Object::parse(&Bytes::from(sent));
                assert!(again.is_ok(), "{surface:?} to {far:?}: {again:?}");
            }
        }
    }
}

/// A small request on `surface` that asks for a stream.
fn ask(surface: Surface) -> Option<Ask> {
    let body = r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}],
        "input":"x","prompt":"x","stream_options":{"include_usage":true}}"#;
    Ask::read(surface, &Bytes::from_static(body.as_bytes())).ok()
}

/// An upstream's stream in the form of each of `far`, for a client of every surface. The first byte says how the rest is
/// cut into chunks; the bytes for the client must not depend on it.
pub fn stream(far: &[Surface], data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else { return };
    let step = usize::from(cut % 61) + 1;
    for &far in far {
        kept(far, data, step);
        for near in Surface::ALL {
            let Some(ask) = ask(near).filter(|ask| ask.stream && near.task() == far.task()) else { continue };
            let (pieces, whole) = (run(&ask, far, data, step), run(&ask, far, data, data.len().max(1)));
            // After an error the pieces before it are out already; how many depends on the cut.
            if let (Some(pieces), Some(whole)) = (pieces, whole) {
                assert_eq!(String::from_utf8_lossy(&pieces), String::from_utf8_lossy(&whole), "{far:?} to {near:?}");
            }
        }
    }
}

/// A stream that is whole is kept as an answer that may be kept, and that every client can be given.
fn kept(far: Surface, data: &[u8], step: usize) {
    let chunks: Vec<Bytes> = data.chunks(step).map(Bytes::copy_from_slice).collect();
    let Some(Whole { body, may_be_kept: is_kept }) = whole_of_stream(far, &chunks) else { return };
    if !is_kept {
        return;
    }
    assert!(may_be_kept(far, &body), "{far:?}: {body:?}");
    for near in Surface::ALL {
        let Some(ask) = ask(near).filter(|_| near.task() == far.task()) else { continue };
        let whole = replay(&ask, far, &body, &context(), ELAPSED);
        let stream = replay_stream(&ask, far, &body, context(), ELAPSED, true);
        assert!(whole.is_ok() && stream.is_ok(), "{far:?} to {near:?}: {body:?}");
    }
}

/// The client's bytes, `None` if the stream was refused or reported a failure.
fn run(ask: &Ask, far: Surface, data: &[u8], step: usize) -> Option<Vec<u8>> {
    let mut transcoder = Transcoder::new(ask, far, context());
    let mut out = Vec::new();
    let mut take = |result: Result<Step, wire::Malformed>| {
        let step = result.ok()?;
        out.extend_from_slice(&step.bytes);
        step.failure.is_none().then_some(())
    };
    let mut good =
        data.chunks(step).all(|chunk| take(transcoder.feed(&Bytes::copy_from_slice(chunk), ELAPSED)).is_some());
    good = good && take(transcoder.finish(ELAPSED)).is_some();
    let _ = transcoder.heartbeat();
    if !good {
        let _ = transcoder.fail(&ErrorBody {
            kind: FailureKind::Upstream,
            message: "upstream a failed".into(),
            code: None,
            param: None,
            request_id: None,
        });
        return None;
    }
    Some(out)
}

/// An upstream's whole answer on every surface, for a client of every surface.
pub fn whole(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for far in Surface::ALL {
        for near in Surface::ALL {
            let Some(ask) = ask(near).filter(|_| near.task() == far.task()) else { continue };
            let _ = answer(&ask, far, &body, &context(), ELAPSED);
        }
        let _ = said(far, data);
    }
    let _ = (read_vector(data), read_judge(data));
}

/// Compares the two halves of a text, whichever way round, and reads the bytes as both files of a table.
pub fn semantic(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (left, right) = text.split_once('|').unwrap_or((&text, &text));
    let _ = (check(left), check(right));
    let (left, right) = (Signature::of(left), Signature::of(right));
    assert_eq!(gate(&left, &right) == Verdict::Same, gate(&right, &left) == Verdict::Same);
    assert!(!matches!(gate(&left, &left), Verdict::Other(_)));
    let trust = Bar::read(data).trust(0.9);
    assert!((0.0..=1.0).contains(&trust));
    let _ = Vector::read(data);
    let _ = wire::table::Table::read(Bytes::copy_from_slice(data), data);
}
