//! Between dialects nothing is lost in silence: a member that would change the answer is carried or refused by name.

use domain::surface::{Surface, Task};
use serde_json::{Value, json};
use wire::exchange::NotSent;

use crate::asks::read;

/// A request on `near` with more members, as `far` would be sent it; or the name of what keeps it from being sent.
fn sent(near: Surface, more: &Value, far: Surface) -> Result<Value, String> {
    let mut body = json!({ "model": "fast" });
    let members = body.as_object_mut().unwrap();
    match near {
        Surface::OpenaiCompletions | Surface::OllamaGenerate => members.insert("prompt".to_owned(), json!("Hi")),
        Surface::OllamaGenerateRaw => {
            members.insert("raw".to_owned(), json!(true));
            members.insert("prompt".to_owned(), json!("Hi"))
        }
        Surface::OpenaiEmbeddings | Surface::OllamaEmbed | Surface::OpenaiResponses => {
            members.insert("input".to_owned(), json!("Hi"))
        }
        Surface::OpenaiChat
        | Surface::AnthropicMessages
        | Surface::AnthropicCountTokens
        | Surface::OllamaChat
        | Surface::OllamaEmbeddings => {
            members.insert("messages".to_owned(), json!([{"role": "user", "content": "Hi"}]))
        }
    };
    if near.task() != Task::Embedding {
        members.insert("stream".to_owned(), json!(false));
    }
    if near == Surface::AnthropicMessages {
        members.insert("max_tokens".to_owned(), json!(64));
    }
    members.extend(more.as_object().unwrap().clone());
    let host = if far == Surface::AnthropicMessages { "api.anthropic.com" } else { "127.0.0.1" };
    match read(near, &body.to_string()).outgoing(far, "up", host) {
        Ok(body) => Ok(serde_json::from_slice(&body).unwrap()),
        Err(NotSent::Uncarried(error)) => Err(error.field),
        Err(NotSent::Malformed(error)) => Err(error.at),
    }
}

fn check_refused(near: Surface, far: Surface, rows: &[(Value, &str)]) {
    for (more, want) in rows {
        let refused = sent(near, more, far).expect_err(&format!("{near:?} → {far:?}: {more}"));
        assert_eq!(refused, *want, "{near:?} → {far:?}: {more}");
    }
}

/// Members that need not be carried leave the request as it is without them.
fn check_dropped(near: Surface, far: Surface, rows: &[Value]) {
    let plain = sent(near, &json!({}), far).unwrap();
    for more in rows {
        assert_eq!(sent(near, more, far), Ok(plain.clone()), "{near:?} → {far:?}: {more}");
    }
}

fn said(content: &Value) -> Value {
    json!({ "messages": [{ "role": "user", "content": [content] }] })
}

#[test]
fn openai_to_anthropic() {
    let near = Surface::OpenaiChat;
    check_refused(
        near,
        Surface::AnthropicMessages,
        &[
            (json!({"seed": 1}), "seed"),
            (json!({"n": 2}), "n"),
            (json!({"logprobs": true}), "logprobs"),
            (json!({"top_logprobs": 2}), "top_logprobs"),
            (json!({"logit_bias": {"1": 5}}), "logit_bias"),
            (json!({"frequency_penalty": 0.1}), "frequency_penalty"),
            (json!({"presence_penalty": -1}), "presence_penalty"),
            (json!({"repetition_penalty": 1.1}), "repeat_penalty"),
            (json!({"min_p": 0.1}), "min_p"),
            (json!({"response_format": {"type": "json_object"}}), "response_format"),
            (json!({"response_format": {"type": "grammar"}}), "response_format.type"),
            (json!({"tool_choice": "required"}), "tool_choice"),
            (json!({"reasoning_effort": "endless"}), "reasoning_effort"),
            (json!({"modalities": ["text", "audio"]}), "modalities[1]"),
            (json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}), "tools[0].type"),
            (json!({"system": "x"}), "system"),
            (json!({"messages": [{"role": "user", "content": "x", "name": "bob"}]}), "messages[0].name"),
            (said(&json!({"type": "input_audio", "input_audio": {}})), "messages[0].content[0].input_audio"),
            (said(&json!({"type": "file", "file": {}})), "messages[0].content[0].file"),
            (said(&json!({"type": "text"})), "messages[0].content[0].text"),
            (json!({"messages": [{"role": "critic", "content": "x"}]}), "messages[0].role"),
            (json!({"temperature": "hot"}), "temperature"),
        ],
    );
    check_dropped(
        near,
        Surface::AnthropicMessages,
        &[
            json!({"metadata": {"a": "b"}, "store": true, "service_tier": "flex", "prompt_cache_key": "k"}),
            json!({"safety_identifier": "s", "prediction": {"type": "content", "content": "x"}, "models": ["other"]}),
            json!({"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": false, "logit_bias": {}}),
            json!({"seed": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "stop": []}),
            json!({"user": "someone@example.org", "response_format": {"type": "text"}, "modalities": ["text"]}),
        ],
    );
    let unknown = sent(near, &json!({"inference_geo": "eu"}), Surface::AnthropicMessages).unwrap();
    assert_eq!(unknown["inference_geo"], "eu");
}

#[test]
fn openai_to_ollama() {
    let near = Surface::OpenaiChat;
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    check_refused(
        near,
        Surface::OllamaChat,
        &[
            (json!({"n": 2}), "n"),
            (json!({"logit_bias": {"1": 5}}), "logit_bias"),
            (json!({"tools": tools, "tool_choice": "required"}), "tool_choice"),
            (json!({"tools": tools, "parallel_tool_calls": false}), "parallel_tool_calls"),
            (json!({"reasoning_effort": "endless"}), "reasoning_effort"),
            (json!({"web_search_options": {}}), "web_search_options"),
            (json!({"verbosity": "low"}), "verbosity"),
            (json!({"mirostat": 2}), "mirostat"),
            (json!({"chat_template_kwargs": {"style": "x"}}), "chat_template_kwargs"),
            (json!({"messages": [{"role": "user", "content": "x", "name": "bob"}]}), "messages[0].name"),
            (said(&json!({"type": "image_url", "image_url": {"url": "http://x/a.png"}})), "messages[0].content[0]"),
            (said(&json!({"type": "video_url", "video_url": {}})), "messages[0].content[0].video_url"),
        ],
    );
    check_dropped(
        near,
        Surface::OllamaChat,
        &[
            json!({"metadata": {}, "store": true, "user": "u", "service_tier": "auto", "stream_options": null}),
            json!({"n": 1, "logit_bias": {}, "tool_choice": "none", "parallel_tool_calls": false}),
            json!({"response_format": {"type": "text"}, "logprobs": false}),
        ],
    );
}

#[test]
fn anthropic_to_others() {
    let near = Surface::AnthropicMessages;
    for far in [Surface::OpenaiChat, Surface::OllamaChat] {
        check_refused(
            near,
            far,
            &[
                (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), "tools[0].type"),
                (json!({"mcp_servers": [{"url": "x"}]}), "mcp_servers[0]"),
                (json!({"container": "c"}), "container.id"),
                (json!({"thinking": {"type": "dreaming"}}), "thinking.type"),
                (said(&json!({"type": "document", "source": {}})), "messages[0].content[0]"),
                (
                    said(&json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
                    "messages[0].content[0].source.type",
                ),
                (json!({"messages": [{"role": "narrator", "content": "x"}]}), "messages[0].role"),
                (json!({"thinking": {"type": "enabled"}}), "thinking.budget_tokens"),
            ],
        );
        check_dropped(
            near,
            far,
            &[
                json!({"service_tier": "auto", "betas": ["x"], "context_management": {"edits": []}, "speed": "fast"}),
                json!({"system": [], "stop_sequences": [], "tools": [], "mcp_servers": []}),
                said(&json!({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}, "citations": []})),
            ],
        );
    }
    let unknown = json!({"chat_template_kwargs": {"x": 1}});
    assert_eq!(sent(near, &unknown, Surface::OpenaiChat).unwrap()["chat_template_kwargs"], json!({"x": 1}));
    assert_eq!(sent(near, &unknown, Surface::OllamaChat), Err("chat_template_kwargs".to_owned()));
}

#[test]
fn responses_to_others() {
    for far in [Surface::OpenaiChat, Surface::AnthropicMessages, Surface::OllamaChat] {
        check_refused(
            Surface::OpenaiResponses,
            far,
            &[
                (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
                (json!({"conversation": "c"}), "conversation"),
                (json!({"background": true}), "background"),
                (json!({"prompt": {"id": "p"}}), "prompt"),
                (json!({"truncation": "auto"}), "truncation"),
                (json!({"input": [{"type": "item_reference", "id": "i"}]}), "input[0]"),
                (json!({"input": [{"type": "computer_call", "id": "i"}]}), "input[0]"),
                (
                    json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}),
                    "input[0].content[0]",
                ),
                (json!({"text": {"format": {"type": "grammar"}}}), "text.format.type"),
                (json!({"include": ["secrets"]}), "include[0]"),
            ],
        );
        check_dropped(
            Surface::OpenaiResponses,
            far,
            &[
                json!({"store": true, "metadata": {"a": "b"}, "truncation": "disabled", "background": false}),
                json!({"include": ["reasoning.encrypted_content"], "text": {"verbosity": "medium"}, "reasoning": {"summary": "auto"}}),
            ],
        );
    }
}

#[test]
fn what_cannot_be_carried_is_named_as_the_client_knows_it() {
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let single = json!({"tools": tools, "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    check_refused(
        Surface::AnthropicMessages,
        Surface::OllamaChat,
        &[
            (single, "tool_choice.disable_parallel_tool_use"),
            (json!({"output_config": {"effort": "endless"}}), "output_config.effort"),
        ],
    );
    for near in [Surface::OllamaChat, Surface::OllamaGenerate] {
        check_refused(
            near,
            Surface::AnthropicMessages,
            &[
                (json!({"options": {"seed": 1}}), "options.seed"),
                (json!({"options": {"repeat_penalty": 1.1}}), "options.repeat_penalty"),
                (json!({"format": "json"}), "format"),
                (json!({"logprobs": true}), "logprobs"),
            ],
        );
    }
    check_refused(
        Surface::OpenaiResponses,
        Surface::AnthropicMessages,
        &[
            (json!({"text": {"format": {"type": "json_object"}}}), "text.format"),
            (json!({"include": ["message.output_text.logprobs"]}), "include"),
            (json!({"seed": 1}), "seed"),
        ],
    );

    let url = "https://x.example/a.png";
    let image = json!({"type": "image", "source": {"type": "url", "url": url}});
    let more = json!({"system": "s", "messages": [{"role": "user", "content": [image]}]});
    check_refused(Surface::AnthropicMessages, Surface::OllamaChat, &[(more, "messages")]);
    let image = json!({"type": "input_image", "image_url": url});
    let more = json!({"instructions": "s", "input": [{"role": "user", "content": [image]}]});
    check_refused(Surface::OpenaiResponses, Surface::OllamaChat, &[(more, "input")]);
}

#[test]
fn ollama_to_others() {
    for far in [Surface::OpenaiChat, Surface::AnthropicMessages] {
        for near in [Surface::OllamaChat, Surface::OllamaGenerate] {
            check_refused(
                near,
                far,
                &[
                    (json!({"options": {"mirostat": 2}}), "options.mirostat"),
                    (json!({"options": {"typical_p": 0.5}}), "options.typical_p"),
                    (json!({"options": {"temperature": "hot"}}), "options.temperature"),
                    (json!({"format": "yaml"}), "format"),
                    (json!({"think": "endless"}), "think"),
                ],
            );
            check_dropped(
                near,
                far,
                &[
                    json!({"keep_alive": "5m", "truncate": true, "shift": false, "format": "", "tools": null}),
                    json!({"options": {"num_ctx": 8192, "num_gpu": 1, "use_mmap": true, "tfs_z": 1.0, "seed": -1}}),
                ],
            );
        }
        check_refused(
            Surface::OllamaGenerate,
            far,
            &[
                (json!({"context": [1, 2]}), "context"),
                (json!({"template": "{{ .Prompt }}"}), "template"),
                (json!({"messages": [{"role": "user", "content": "x"}]}), "messages"),
            ],
        );
    }
    let uncounted = json!({"stream": true, "stream_options": {"include_usage": false}});
    check_refused(Surface::OllamaChat, Surface::OpenaiChat, &[(uncounted, "stream_options")]);
}

#[test]
fn raw_texts_and_vectors() {
    check_refused(
        Surface::OpenaiCompletions,
        Surface::OllamaGenerateRaw,
        &[
            (json!({"echo": true}), "echo"),
            (json!({"best_of": 3}), "best_of"),
            (json!({"n": 2}), "n"),
            (json!({"logit_bias": {"1": 5}}), "logit_bias"),
            (json!({"prompt": ["a", "b"]}), "prompt"),
            (json!({"prompt": [1, 2]}), "prompt[0]"),
            (json!({"ignore_eos": true}), "ignore_eos"),
        ],
    );
    check_dropped(
        Surface::OpenaiCompletions,
        Surface::OllamaGenerateRaw,
        &[json!({"echo": false, "best_of": 1, "n": 1, "user": "u", "suffix": "", "logprobs": null})],
    );
    check_refused(
        Surface::OllamaGenerateRaw,
        Surface::OpenaiCompletions,
        &[
            (json!({"system": "x"}), "system"),
            (json!({"format": "json"}), "format"),
            (json!({"images": ["x"]}), "images"),
            (json!({"options": {"mirostat": 1}}), "options.mirostat"),
        ],
    );
    check_refused(
        Surface::OpenaiEmbeddings,
        Surface::OllamaEmbed,
        &[
            (json!({"input": [1, 2]}), "input[0]"),
            (json!({"input": [[1], [2]]}), "input[0]"),
            (json!({"input_type": "query"}), "input_type"),
            (json!({"encoding_format": "hex"}), "encoding_format"),
        ],
    );
    check_dropped(
        Surface::OpenaiEmbeddings,
        Surface::OllamaEmbed,
        &[json!({"encoding_format": "base64", "user": "u"}), json!({"encoding_format": "float"})],
    );
    let held = json!({"keep_alive": 0, "options": {"num_ctx": 1}, "truncate": false});
    check_dropped(Surface::OllamaEmbed, Surface::OpenaiEmbeddings, &[held]);
}
