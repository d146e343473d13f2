"""Writes wordllama.jsonl: what WordLlama's own code makes of some texts. Wants its package; see tests/setup for the version.

    python3 -m venv V && V/bin/pip install wordllama==0.4.0.post1 && V/bin/python tests/semantic/golden.py
"""

import json
import pathlib

import wordllama
from safetensors import safe_open
from tokenizers import Tokenizer
from wordllama.inference import WordLlamaInference

here = pathlib.Path(__file__).parent
package = pathlib.Path(wordllama.__file__).parent
with safe_open(package / "weights/l2_supercat_256.safetensors", framework="np") as weights:
    table = weights.get_tensor("embedding.weight")
tokenizer = Tokenizer.from_file(str(package / "tokenizers/l2_supercat_tokenizer_config.json"))
model = WordLlamaInference(table, tokenizer)

texts = [line for line in (here / "python_faq.txt").read_text().splitlines()][::6][:20]
groups = [json.loads(line) for line in (here / "tuned.jsonl").read_text().splitlines()]
texts += [text for group in groups[::6] for text in (group["same"][0], group["differ"][0])][:20]
texts += [
    "a",
    "  two  blanks ",
    "line\nbreak\tand tab",
    "Grüße aus Köln, naïve façade",
    "日本語の質問です。",
    "👍🏽 emoji 🇩🇪",
    "\u0000\u0001 control",
    "a▁b ▁▁ underline",
    "Ünïcödé àccents ﬁ ligature",
    "1234567890 3.14159 -5 10%",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "The quick brown fox jumps over the lazy dog. " * 20,
]
with open(here / "wordllama.jsonl", "w", encoding="utf-8") as out:
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        vector = model.embed([text], norm=True)[0]
        row = {"text": text, "tokens": ids, "vector": [round(float(x), 5) for x in vector[::16]]}
        out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
