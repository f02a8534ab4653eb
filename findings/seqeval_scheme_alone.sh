#!/usr/bin/env bash
# One would guess that f1_score(gold, answers, scheme=BILOU) reads tags as
# BILOU. seqeval looks at `scheme` only where mode="strict" is given too; else
# it is ignored without a word, tags are read as conlleval reads B, I, E, S, and
# of two BILOU spans in a row the first is lost, in the gold as in the answer:
# F1 is 1 where half of the spans were missed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q seqeval==1.2.2 scikit-learn==1.7.2
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata

from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU

print("seqeval", importlib.metadata.version("seqeval"))
gold = [["B-PER", "L-PER", "B-PER", "L-PER"]]
answer = [["O", "O", "B-PER", "L-PER"]]
alone = f1_score(gold, answer, scheme=BILOU)
strict = f1_score(gold, answer, mode="strict", scheme=BILOU)
print("gold", gold[0], "answer", answer[0])
print("F1 with scheme=BILOU:", alone)
print("F1 with mode='strict', scheme=BILOU:", round(strict, 4))
print("spans of the gold as read without mode:", get_entities(gold))
assert alone == 1.0, "the behaviour has changed"
assert round(strict, 4) == 0.6667, "the behaviour has changed"
assert get_entities(gold) == [("PER", 2, 3)], "the behaviour has changed"
PYTHON
