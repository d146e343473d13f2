"""The official Anthropic library against the Anthropic surfaces. Usage: anthropic_python.py BASE_URL KIND"""

import sys

import anthropic
from anthropic import Anthropic

from checks import TEXT, check, end, equal, raises

BASE, KIND = sys.argv[1:3]
client = Anthropic(base_url=BASE, api_key="client-key", max_retries=0, timeout=30)
bearer = Anthropic(base_url=BASE, auth_token="client-token", api_key=None, max_retries=0, timeout=30)
USER = [{"role": "user", "content": "Say something"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS = [{"name": "get_weather", "description": "x", "input_schema": SCHEMA}]


def message(model="text", by=client, **more):
    return by.messages.create(model=model, max_tokens=100, messages=more.pop("messages", USER), **more)


def whole():
    reply = message(system="Be brief", stop_sequences=["END"])
    equal(reply.content[0].text, TEXT)
    equal(reply.stop_reason, "end_turn")
    equal(reply.usage.input_tokens + (reply.usage.cache_read_input_tokens or 0), 11)


def by_bearer():
    equal(message(by=bearer).content[0].text, TEXT)


def beta():
    reply = client.beta.messages.create(model="text", max_tokens=100, messages=USER)
    equal(reply.content[0].text, TEXT)


def stream():
    with client.messages.stream(model="text", max_tokens=100, messages=USER) as events:
        equal("".join(events.text_stream), TEXT)
        final = events.get_final_message()
    equal(final.stop_reason, "end_turn")
    equal(final.usage.output_tokens, 5)


def thinking():
    reply = message("thinking")
    kinds = [block.type for block in reply.content]
    equal(kinds, ["thinking", "text"])
    equal(reply.content[0].thinking, "Let me think")


def tools():
    reply = message("tools", tools=TOOLS)
    equal(reply.stop_reason, "tool_use")
    uses = [block for block in reply.content if block.type == "tool_use"]
    equal([use.input["city"] for use in uses], ["Köln", "Oslo"])
    equal(len({use.id for use in uses}), 2)
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "rain"} for use in uses]
    history = USER + [{"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in reply.content]}]
    history += [{"role": "user", "content": results}]
    equal(message(messages=history, tools=TOOLS).content[0].text, TEXT)


def tools_stream():
    with client.messages.stream(model="tools", max_tokens=100, messages=USER, tools=TOOLS) as events:
        final = events.get_final_message()
    equal([block.input["city"] for block in final.content if block.type == "tool_use"], ["Köln", "Oslo"])


def count_tokens():
    counted = client.messages.count_tokens(model="text", messages=USER)
    if KIND == "ollama":
        assert counted.input_tokens > 0, counted
    else:
        equal(counted.input_tokens, 11)


def models():
    ids = [model.id for model in client.models.list()]
    assert {"text", "tools"} <= set(ids), ids
    equal(client.models.retrieve("text").type, "model")
    raises(anthropic.NotFoundError, lambda: client.models.retrieve("nothing"), ["nothing"], 404)


def errors():
    words = ["box", "scripted words"]
    raises(anthropic.BadRequestError, lambda: message("err-400"), words, 400)
    raises(anthropic.InternalServerError, lambda: message("err-401"), ["box"], 502)
    raises(anthropic.NotFoundError, lambda: message("err-404"), ["box"], 404)
    limited = raises(anthropic.RateLimitError, lambda: message("err-429"), words, 429)
    equal(limited.response.headers["retry-after"], "7")
    raises(anthropic.InternalServerError, lambda: message("err-500"), words, 502)
    try:
        message("err-503")
    except anthropic.APIStatusError as error:
        equal(error.status_code, 529)
        equal(error.body["error"]["type"], "overloaded_error")
    raises(anthropic.NotFoundError, lambda: message("nothing"), ["nothing"], 404)
    no_limit = lambda: client.post("/v1/messages", body={"model": "text", "messages": USER}, cast_to=object)
    raises(anthropic.BadRequestError, no_limit, ["max_tokens"], 400)


def broken_streams():
    for model in ("cut", "event"):
        try:
            with client.messages.stream(model=model, max_tokens=100, messages=USER) as events:
                for _ in events:
                    pass
        except anthropic.APIError as error:
            assert "box" in str(error), error
        else:
            raise AssertionError(f"{model} ended like a success")


for case in (
    whole, by_bearer, beta, stream, thinking, tools, tools_stream, count_tokens, models, errors, broken_streams,
):
    check(case.__name__, case)
end()
