"""The official Ollama library against the Ollama surfaces. Usage: ollama_python.py BASE_URL KIND"""

import sys

import ollama
from ollama import Client

from checks import TEXT, check, end, equal, raises

BASE, KIND = sys.argv[1:3]
client = Client(host=BASE, timeout=30)
USER = [{"role": "user", "content": "Say something"}]


def get_weather(city: str, days: int = 1) -> str:
    """The weather of a city.

    Args:
        city: its name
        days: how many
    """
    return f"{city}: rain for {days}"


def chat_whole():
    reply = client.chat(model="text", messages=USER, options={"temperature": 0, "num_predict": 50})
    equal(reply.message.content, TEXT)
    equal((reply.done, reply.done_reason), (True, "stop"))
    equal(reply.prompt_eval_count, 11)


def chat_stream():
    parts = list(client.chat(model="text", messages=USER, stream=True))
    equal("".join(part.message.content or "" for part in parts), TEXT)
    equal([part.done for part in parts].index(True), len(parts) - 1)


def generate():
    equal(client.generate(model="text", prompt="a", system="Be brief").response, TEXT)
    parts = list(client.generate(model="text", prompt="a", stream=True))
    equal("".join(part.response for part in parts), TEXT)


def tools():
    reply = client.chat(model="tools", messages=USER, tools=[get_weather])
    calls = reply.message.tool_calls
    equal([call.function.arguments["city"] for call in calls], ["Köln", "Oslo"])
    results = [{"role": "tool", "tool_name": call.function.name, "content": "rain"} for call in calls]
    equal(client.chat(model="text", messages=USER + [reply.message] + results).message.content, TEXT)


def thinking():
    equal(client.chat(model="thinking", messages=USER, think=True).message.thinking, "Let me think")


def structured():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    if KIND == "anthropic":
        try:
            client.chat(model="text", messages=USER, format=schema)
        except ollama.ResponseError as error:
            equal(error.status_code, 400)
            assert "format" in str(error), error
    else:
        equal(client.chat(model="text", messages=USER, format=schema).message.content, TEXT)


def embed():
    if KIND == "anthropic":
        raises(ollama.ResponseError, lambda: client.embed(model="text", input="a"), ["embeddings"], 400)
        return
    equal([list(vector) for vector in client.embed(model="text", input=["a", "b"]).embeddings][1], [1.0, 0.25, -0.5, 1.0])
    equal(list(client.embeddings(model="text", prompt="a").embedding), [0.0, 0.25, -0.5, 1.0])


def lists():
    names = [model.model for model in client.list().models]
    assert "text" in {name.removesuffix(":latest") for name in names}, names
    assert client.show("text").capabilities is not None
    client.ps()


def errors():
    ask = lambda model: lambda: client.chat(model=model, messages=USER)
    raises(ollama.ResponseError, ask("err-400"), ["box", "scripted words"], 400)
    raises(ollama.ResponseError, ask("err-401"), ["box"], 502)
    raises(ollama.ResponseError, ask("err-404"), ["box"], 404)
    raises(ollama.ResponseError, ask("err-429"), ["scripted words"], 429)
    raises(ollama.ResponseError, ask("err-500"), ["box"], 502)
    raises(ollama.ResponseError, ask("nothing"), ["nothing"], 404)


def broken_streams():
    for model in ("cut", "event"):
        raises(ollama.ResponseError, lambda: list(client.chat(model=model, messages=USER, stream=True)), ["box"])


for case in (
    chat_whole, chat_stream, generate, tools, thinking, structured, embed, lists, errors, broken_streams,
):
    check(case.__name__, case)
end()
