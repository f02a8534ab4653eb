#!/usr/bin/env bash
# One would guess that the string operations of TensorFlow and TF.Text, which
# are installed together and run in one graph, know the same Unicode. Those of
# two releases know three: tf.strings.lower that of 2020 (13), RE2's \p{...} in
# tf.strings.regex_* that of 2022 (15), TF.Text's own ICU that of 2024 (16). So
# a letter of 2021 is upper case for the regular expression, lower-cased by
# case_fold_utf8, and left as it is by tf.strings.lower, which says nothing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 tensorflow-text==2.21.1
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import tensorflow as tf
import tensorflow_text as tf_text

print("tensorflow", tf.__version__, "tensorflow-text", tf_text.__version__)
# A capital letter that came with each version of Unicode.
CAPITALS = {"13": "\uA7C7", "14": "\u2C2F", "16": "\uA7CB"}
# A combining mark likewise.
MARKS = {"14": "\u0898", "15": "\U00010EFD", "16": "\u0897"}


def is_in(pattern, character):
    return bool(tf.strings.regex_full_match(character, pattern))


seen = {}
for version, letter in CAPITALS.items():
    lowered = tf.strings.lower([letter], encoding="utf-8").numpy()[0].decode()
    folded = tf_text.case_fold_utf8([letter]).numpy()[0].decode()
    seen[version] = lowered != letter, is_in(r"\p{Lu}", letter), folded != letter
    print(
        f"capital of Unicode {version}: tf.strings.lower changes it "
        f"{seen[version][0]}, the regular expression knows it "
        f"{seen[version][1]}, case_fold_utf8 changes it {seen[version][2]}"
    )
marks = {version: is_in(r"\p{Mn}", mark) for version, mark in MARKS.items()}
print("marks that the regular expression knows:", marks)
assert seen == {
    "13": (True, True, True),
    "14": (False, True, True),
    "16": (False, False, True),
}, "the behaviour has changed"
assert marks == {"14": True, "15": True, "16": False}, "it has changed"
PYTHON
