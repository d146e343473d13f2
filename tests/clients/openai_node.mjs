// The official OpenAI library for Node against the OpenAI surfaces. Usage: openai_node.mjs BASE_URL KIND
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const installed = fileURLToPath(new URL("../../target/client-node/", import.meta.url));
const { default: OpenAI } = createRequire(installed)("openai");

const [base, kind] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "client-key", maxRetries: 0, timeout: 30_000 });
const TEXT = "The quick brown fox jumps.";
const messages = [{ role: "user", content: "Say something" }];
const parameters = { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } } };
const chat = (model, more) => client.chat.completions.create({ model, messages, ...more });

async function collect(stream, piece) {
  let text = "";
  for await (const part of stream) text += piece(part) ?? "";
  return text;
}

async function raises(Kind, status, call, words) {
  await assert.rejects(call, (error) => {
    assert.equal(error.constructor.name, Kind.name);
    if (status) assert.equal(error.status, status);
    for (const word of words) assert.ok(error.message.includes(word), `${word} not in ${error.message}`);
    return true;
  });
}

const checks = {
  async chat() {
    const reply = await chat("text");
    assert.equal(reply.choices[0].message.content, TEXT);
    assert.equal(reply.usage.prompt_tokens, 11);
  },
  async chatStream() {
    const stream = await chat("text", { stream: true });
    assert.equal(await collect(stream, (chunk) => chunk.choices[0].delta.content), TEXT);
  },
  async tools() {
    const tools = [{ type: "function", function: { name: "get_weather", description: "x", parameters } }];
    const runner = client.chat.completions.stream({ model: "tools", messages, tools });
    const calls = (await runner.finalMessage()).tool_calls;
    assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments).city), ["Köln", "Oslo"]);
    const results = calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "rain" }));
    const history = [...messages, { role: "assistant", content: null, tool_calls: calls }, ...results];
    assert.equal((await chat("text", { messages: history, tools })).choices[0].message.content, TEXT);
  },
  async embeddings() {
    if (kind === "anthropic") return;
    const reply = await client.embeddings.create({ model: "floats", input: ["a", "b"] });
    assert.deepEqual(Array.from(reply.data[1].embedding), [1, 0.25, -0.5, 1]);
  },
  async completions() {
    if (kind === "anthropic") return;
    const stream = await client.completions.create({ model: "text", prompt: "a", stream: true });
    assert.equal(await collect(stream, (chunk) => chunk.choices[0]?.text), TEXT);
  },
  async responses() {
    assert.equal((await client.responses.create({ model: "text", input: "x" })).output_text, TEXT);
    const stream = await client.responses.create({ model: "text", input: "x", stream: true });
    const delta = (event) => (event.type === "response.output_text.delta" ? event.delta : "");
    assert.equal(await collect(stream, delta), TEXT);
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes("text"), ids.join());
    assert.equal((await client.models.retrieve("text")).id, "text");
  },
  async errors() {
    await raises(OpenAI.BadRequestError, 400, () => chat("err-400"), ["box", "scripted words"]);
    await raises(OpenAI.InternalServerError, 502, () => chat("err-401"), ["box"]);
    await raises(OpenAI.RateLimitError, 429, () => chat("err-429"), ["scripted words"]);
    await raises(OpenAI.InternalServerError, 502, () => chat("err-500"), ["box"]);
    await raises(OpenAI.NotFoundError, 404, () => chat("nothing"), ["nothing"]);
  },
  async brokenStreams() {
    for (const model of ["cut", "event"]) {
      await raises(OpenAI.APIError, undefined, async () => collect(await chat(model, { stream: true }), () => ""), ["box"]);
    }
  },
  async leaving() {
    const controller = new AbortController();
    const pending = client.chat.completions.create({ model: "slow", messages }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await raises(OpenAI.APIUserAbortError, undefined, () => pending, []);
  },
};

let failed = 0;
for (const [name, body] of Object.entries(checks)) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error.stack}`);
  }
}
process.exit(failed ? 1 : 0);
