//! Which answer belongs to which path.

use serde_json::{Value, json};

use super::http::Incoming;
use super::pieces::{Body, Rendered};
use super::script::{Answer, Script};
use super::{anthropic, ollama, openai};

/// Whether a path generates (and so follows the script), or only tells about the server.
pub(super) fn generates(request: &Incoming) -> bool {
    let path = request.path.split('?').next().unwrap_or_default();
    request.method == "POST" && !path.ends_with("/api/show") && !path.ends_with("/tokenize")
}

/// The answer to a request that generates; `None` where the script says not to answer.
pub(super) fn generated(script: &Script, request: &Incoming) -> Option<Rendered> {
    let mut rendered = match &script.answer {
        Answer::Model => model(script, request),
        Answer::Status { status, retry_after_s, message } => {
            let mut rendered = failure(&request.path, *status, message);
            rendered.headers.extend(retry_after_s.map(|s| ("retry-after".to_owned(), s.to_string())));
            rendered
        }
        Answer::Raw { status, headers, body } => Rendered {
            status: *status,
            content_type: String::new(),
            headers: headers.clone(),
            body: Body::Whole(body.clone()),
        },
        Answer::Oversize(bytes) => {
            let text = "x".repeat(*bytes);
            Rendered::json(200, &json!({"id": "big", "choices": [], "padding": text}))
        }
        Answer::Hang | Answer::Close => return None,
    };
    if let Some(content_type) = script.content_type {
        rendered.content_type = content_type.to_owned();
    }
    Some(rendered)
}

fn model(script: &Script, request: &Incoming) -> Rendered {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let path = request.path.split('?').next().unwrap_or_default();
    let ends = |end: &str| path.ends_with(end);
    if ends("/chat/completions") {
        openai::chat(script, &body)
    } else if ends("/completions") {
        openai::completion(script, &body)
    } else if ends("/messages") {
        anthropic::messages(script, &body)
    } else if ends("/messages/count_tokens") {
        anthropic::count_tokens()
    } else if ends("/api/chat") {
        ollama::generate(ollama::Form::Chat, script, &body)
    } else if ends("/api/generate") {
        ollama::generate(ollama::Form::Generate, script, &body)
    } else if ends("/api/embed") {
        ollama::embed(&body)
    } else if ends("/embeddings") {
        openai::embeddings(script, &body)
    } else {
        failure(path, 404, &format!("no such path: {path}"))
    }
}

/// The answer to a request about the server and its models.
pub(super) fn about(names: &[String], request: &Incoming) -> Rendered {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let path = request.path.split('?').next().unwrap_or_default();
    let ends = |end: &str| path.ends_with(end);
    if ends("/models") {
        let anthropic = request.header("anthropic-version").is_some();
        if anthropic { anthropic::models(names) } else { openai::models(names) }
    } else if ends("/api/tags") {
        ollama::tags(names)
    } else if ends("/api/ps") {
        ollama::ps(names)
    } else if ends("/api/show") {
        ollama::show(names, &body)
    } else if ends("/api/version") {
        Rendered::json(200, &json!({"version": "0.31.2"}))
    } else if ends("/health") {
        Rendered::json(200, &json!({"status": "ok"}))
    } else if ends("/tokenize") {
        let words = body["content"].as_str().unwrap_or_default().split_whitespace().count();
        Rendered::json(200, &json!({"tokens": (0..words).collect::<Vec<_>>()}))
    } else if path == "/" {
        Rendered {
            status: 200,
            content_type: "text/plain".to_owned(),
            headers: Vec::new(),
            body: Body::Whole(b"Ollama is running".to_vec()),
        }
    } else {
        failure(path, 404, &format!("no such path: {path}"))
    }
}

fn failure(path: &str, status: u16, message: &str) -> Rendered {
    let body = if path.contains("/api/") {
        ollama::error(message)
    } else if path.contains("/messages") {
        anthropic::error(status, message)
    } else {
        openai::error(status, message)
    };
    Rendered::json(status, &body)
}
