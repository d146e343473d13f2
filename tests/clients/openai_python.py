"""The official OpenAI library against every OpenAI surface. Usage: openai_python.py BASE_URL KIND"""

import json
import sys

import openai
from openai import OpenAI

from checks import TEXT, check, end, equal, raises

BASE, KIND = sys.argv[1:3]
client = OpenAI(base_url=f"{BASE}/v1", api_key="client-key", max_retries=0, timeout=30)
USER = [{"role": "user", "content": "Say something"}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "x", "parameters": PARAMETERS}}]


def chat(model="text", **more):
    return client.chat.completions.create(model=model, messages=more.pop("messages", USER), **more)


def chat_whole():
    reply = chat()
    equal(reply.choices[0].message.content, TEXT)
    equal(reply.choices[0].finish_reason, "stop")
    equal(reply.usage.prompt_tokens, 11)


def chat_stream():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    equal("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), TEXT)
    equal(chunks[-1].usage.prompt_tokens, 11)
    equal([chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1], "stop")


def chat_stream_helper():
    with client.chat.completions.stream(model="tools", messages=USER, tools=TOOLS) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    equal([json.loads(call.function.arguments)["city"] for call in calls], ["Köln", "Oslo"])
    equal(final.choices[0].finish_reason, "tool_calls")


def tools_round_trip():
    message = chat(model="tools", tools=TOOLS).choices[0].message
    equal(len(message.tool_calls), 2)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls]
    history = USER + [message.model_dump(exclude_none=True)] + results
    equal(chat(messages=history, tools=TOOLS).choices[0].message.content, TEXT)


def reasoning():
    message = chat(model="thinking").choices[0].message
    equal(message.reasoning_content, "Let me think")


def image():
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    equal(chat(messages=[{"role": "user", "content": content}]).choices[0].message.content, TEXT)


def structured():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, "strict": True}}
    if KIND == "anthropic":
        try:
            chat(response_format=wanted)
        except openai.BadRequestError as error:
            assert "response_format" in str(error), error
    else:
        equal(chat(response_format=wanted).choices[0].message.content, TEXT)


def embeddings():
    if KIND == "anthropic":
        raises(openai.BadRequestError, lambda: client.embeddings.create(model="text", input="a"), ["embeddings"], 400)
        return
    for model in ("text", "floats"):
        reply = client.embeddings.create(model=model, input=["a", "b"])
        equal(reply.data[1].embedding, [1.0, 0.25, -0.5, 1.0])
    equal(client.embeddings.create(model="text", input="a", encoding_format="float").data[0].embedding[1], 0.25)


def completions():
    if KIND == "anthropic":
        raises(openai.BadRequestError, lambda: client.completions.create(model="text", prompt="a"), ["completions"], 400)
        return
    equal(client.completions.create(model="text", prompt="a").choices[0].text, TEXT)
    chunks = client.completions.create(model="text", prompt="a", stream=True)
    equal("".join(chunk.choices[0].text for chunk in chunks if chunk.choices), TEXT)


def responses():
    reply = client.responses.create(model="text", input="Say something", instructions="Be brief")
    equal(reply.output_text, TEXT)
    equal(reply.status, "completed")
    equal(reply.usage.input_tokens, 11)


def responses_stream():
    with client.responses.stream(model="text", input="Say something") as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    equal(deltas, TEXT)
    equal(final.output_text, TEXT)


def responses_tools():
    tools = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}]
    calls = [item for item in client.responses.create(model="tools", input="x", tools=tools).output]
    calls = [item for item in calls if item.type == "function_call"]
    equal([json.loads(call.arguments)["city"] for call in calls], ["Köln", "Oslo"])
    history = [{"role": "user", "content": "x"}]
    history += [{"type": "function_call", "call_id": c.call_id, "name": c.name, "arguments": c.arguments} for c in calls]
    history += [{"type": "function_call_output", "call_id": c.call_id, "output": "rain"} for c in calls]
    equal(client.responses.create(model="text", input=history, tools=tools).output_text, TEXT)


def responses_state():
    ask = lambda: client.responses.create(model="text", input="x", previous_response_id="resp_1")
    raises(openai.BadRequestError, ask, ["previous_response_id"], 400)


def models():
    ids = [model.id for model in client.models.list()]
    assert {"text", "tools", "err-429"} <= set(ids), ids
    equal(client.models.retrieve("text").id, "text")
    raises(openai.NotFoundError, lambda: client.models.retrieve("nothing"), ["nothing"], 404)


def errors():
    words = ["box", "scripted words"]
    raises(openai.BadRequestError, lambda: chat("err-400"), words, 400)
    raises(openai.InternalServerError, lambda: chat("err-401"), ["box"], 502)
    raises(openai.NotFoundError, lambda: chat("err-404"), ["box"], 404)
    limited = raises(openai.RateLimitError, lambda: chat("err-429"), words, 429)
    equal(limited.response.headers["retry-after"], "7")
    raises(openai.InternalServerError, lambda: chat("err-500"), words, 502)
    raises(openai.InternalServerError, lambda: chat("err-503"), words, 503)
    missing = raises(openai.NotFoundError, lambda: chat("nothing"), ["nothing"], 404)
    equal(missing.code, "model_not_found")
    raises(openai.BadRequestError, lambda: chat(messages=[]), ["messages"], 400)


def broken_streams():
    for model in ("cut", "event"):
        raises(openai.APIError, lambda: list(chat(model, stream=True)), ["box"])


def stream_errors_before_the_first_token():
    # Where the head is not out yet the status tells; where it is, the event does.
    for model in ("err-500", "err-429"):
        try:
            list(chat(model, stream=True))
        except openai.APIError as error:
            assert "box" in str(error), error
        else:
            raise AssertionError(f"{model} ended like a success")


for case in (
    chat_whole, chat_stream, chat_stream_helper, tools_round_trip, reasoning, image, structured, embeddings,
    completions, responses, responses_stream, responses_tools, responses_state, models, errors, broken_streams,
    stream_errors_before_the_first_token,
):
    check(case.__name__, case)
end()
