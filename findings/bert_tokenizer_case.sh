#!/usr/bin/env bash
# One would guess that tokenizer.json, which holds the whole tokenizer, decides
# how transformers tokenizes. It does for PreTrainedTokenizerFast. BertTokenizer
# takes only the vocabulary from it and makes the rest anew from
# tokenizer_config.json: where that does not say do_lower_case, a cased
# tokenizer lower-cases, without a warning.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.24.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import pathlib

import transformers
from transformers import AutoTokenizer, BertTokenizer

print("transformers", transformers.__version__)
words = "[PAD] [UNK] [CLS] [SEP] [MASK] paris Paris".split()
vocabulary = {word: index for index, word in enumerate(words)}
BertTokenizer(vocab=vocabulary, do_lower_case=False).save_pretrained("saved")
folder = pathlib.Path("saved")
(folder / "config.json").write_text('{"model_type": "bert"}')
settings = json.loads((folder / "tokenizer_config.json").read_text())
lowercase = json.loads((folder / "tokenizer.json").read_text())["normalizer"]
print("tokenizer.json:", lowercase)
seen = {}
for name in ("BertTokenizer", "PreTrainedTokenizerFast"):
    for said in ({"do_lower_case": False}, {}):
        content = {**settings, "tokenizer_class": name}
        del content["do_lower_case"]
        content = {**content, **said}
        (folder / "tokenizer_config.json").write_text(json.dumps(content))
        tokenizer = AutoTokenizer.from_pretrained("saved")
        seen[name, bool(said)] = tokenizer.tokenize("Paris")
        print(name, said, "->", seen[name, bool(said)])
assert seen == {
    ("BertTokenizer", True): ["Paris"],
    ("BertTokenizer", False): ["paris"],
    ("PreTrainedTokenizerFast", True): ["Paris"],
    ("PreTrainedTokenizerFast", False): ["Paris"],
}, "the behaviour has changed"
PYTHON
