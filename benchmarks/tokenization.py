"""The tokenizer beside its peers: speed, and whether the ids are equal.

    python -m benchmarks.tokenization --text 'corpus/*.txt' --vocab vocab.txt

Contenders take turns over the same lines; a figure is the median over the
turns. "per core" is megabytes of text per second of processor time of all
threads, which does not suffer from what else runs on the machine. "unequal"
counts lines whose ids differ from those of `tokenizers`, the reference.
`tokenizers` uses all cores; tfbert one in a process, and a `tf.data` pipeline
with as many calls in parallel as there are cores in the row below.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
import tensorflow_text as tf_text
import tokenizers

from tfbert.text.normalization.characters import read_characters
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.vocabulary_files import read_vocabulary
from tfrecords.text.files import find_files

BATCH_LINES = 1024


def read_lines(patterns: list[str], megabytes: float) -> list[str]:
    """Lines of the files, in turns, until there are so many megabytes."""
    left = megabytes * 1e6
    lines = []
    for path in find_files(patterns):
        with open(path, "rb") as stream:
            text = stream.read().decode("utf-8", "replace")
        for line in text.split("\n"):
            lines.append(line)
            left -= len(line.encode("utf-8"))
            if left < 0:
                return lines
    return lines


def rare_lines(megabytes: float) -> list[str]:
    """Lines of characters that are rare in text, from every table section."""
    rng = random.Random(0)
    pools = [sorted(section) for section in read_characters().values()]
    lines, size = [], 0
    while size < megabytes * 1e6:
        words = (
            "".join(chr(rng.choice(rng.choice(pools))) for _ in range(5))
            for _ in range(20)
        )
        lines.append(" ".join(words))
        size += len(lines[-1].encode("utf-8"))
    return lines


def with_long_words(lines: list[str]) -> list[str]:
    """The lines with a word of 101 letters in one of each batch."""
    return [
        line if number % BATCH_LINES else f"{line} {'x' * 101}"
        for number, line in enumerate(lines)
    ]


def batches(lines: list[str]) -> list[list[str]]:
    starts = range(0, len(lines), BATCH_LINES)
    return [lines[start : start + BATCH_LINES] for start in starts]


def reference(vocabulary: list[str], lowercase: bool) -> Callable:
    model = tokenizers.models.WordPiece(
        {token: index for index, token in enumerate(vocabulary)},
        unk_token="[UNK]",
        max_input_chars_per_word=100,
    )
    peer = tokenizers.Tokenizer(model)
    peer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    peer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return peer.encode_batch


def ours(tokenizer: Tokenizer) -> Callable:
    return tf.function(
        tokenizer.__call__, input_signature=[tf.TensorSpec([None], tf.string)]
    )


def fast_bert(vocabulary: list[str], lowercase: bool) -> Callable:
    peer = tf_text.FastBertTokenizer(
        vocabulary,
        token_out_type=tf.int32,
        lower_case_nfd_strip_accents=lowercase,
    )
    return tf.function(
        peer.tokenize, input_signature=[tf.TensorSpec([None], tf.string)]
    )


def contenders(vocabulary, lowercase, lines) -> dict[str, Callable]:
    """Name -> function that tokenizes all lines once."""
    groups = batches(lines)
    tensors = [tf.constant(group) for group in groups]
    peer = reference(vocabulary, lowercase)
    tokenizer = Tokenizer(vocabulary, lowercase)
    call, text_call = ours(tokenizer), fast_bert(vocabulary, lowercase)
    spans = tf.function(tokenizer.tokenize_with_offsets)
    pipeline = (
        tf.data.Dataset.from_tensor_slices(tf.constant(lines))
        .batch(BATCH_LINES)
        .map(lambda x: call(x).flat_values, os.cpu_count())
    )
    # Warm: traced, and the pipeline's threads started.
    call(tensors[0]), text_call(tensors[0]), spans(tensors[0])
    return {
        "tokenizers encode_batch": lambda: [peer(group) for group in groups],
        "tfbert": lambda: [call(tensor) for tensor in tensors],
        "tfbert in tf.data": lambda: [0 for _ in pipeline],
        "tfbert with offsets": lambda: [spans(tensor) for tensor in tensors],
        "TF.Text FastBertTokenizer": lambda: [text_call(x) for x in tensors],
    }


def unequal(vocabulary, lowercase, lines) -> dict[str, int]:
    peer = reference(vocabulary, lowercase)
    functions = {
        "tfbert": ours(Tokenizer(vocabulary, lowercase)),
        "TF.Text FastBertTokenizer": fast_bert(vocabulary, lowercase),
    }
    counts = dict.fromkeys(functions, 0)
    for group in batches(lines):
        wanted = [encoding.ids for encoding in peer(group)]
        for name, function in functions.items():
            got = function(tf.constant(group)).to_list()
            counts[name] += sum(
                a != b for a, b in zip(wanted, got, strict=True)
            )
    return counts


def measure(name: str, lines: list[str], vocabulary, settings) -> None:
    """Prints the table of one text."""
    lowercase = not settings.cased
    megabytes = sum(len(line.encode("utf-8")) for line in lines) / 1e6
    print(f"\n{name}: {len(lines):,} lines, {megabytes:.1f} MB")
    runs = contenders(vocabulary, lowercase, lines)
    wall: dict[str, list[float]] = {key: [] for key in runs}
    core: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(settings.turns):
        for key, run in runs.items():
            start, used = time.perf_counter(), time.process_time()
            run()
            wall[key].append(megabytes / (time.perf_counter() - start))
            core[key].append(megabytes / (time.process_time() - used))
    counts = unequal(vocabulary, lowercase, lines)
    base = statistics.median(core["tokenizers encode_batch"])
    print(f"{'':27}{'MB/s':>8}{'per core':>10}{'times':>8}{'unequal':>9}")
    for key in runs:
        per_core = statistics.median(core[key])
        print(
            f"{key:27}{statistics.median(wall[key]):8.1f}{per_core:10.1f}"
            f"{per_core / base:8.1f}{counts.get(key, ''):>9}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--text", nargs="+", required=True, help="files, folders or patterns"
    )
    parser.add_argument("--vocab", required=True, help="vocab.txt")
    parser.add_argument("--cased", action="store_true")
    parser.add_argument("--megabytes", type=float, default=10.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--rare", action="store_true", help="text of rare characters as well"
    )
    settings = parser.parse_args()
    vocabulary = read_vocabulary(settings.vocab)
    lines = read_lines(settings.text, settings.megabytes)
    measure(" ".join(settings.text), lines, vocabulary, settings)
    long = with_long_words(lines)
    measure("a long word in each batch", long, vocabulary, settings)
    if settings.rare:
        lines = rare_lines(settings.megabytes / 10)
        measure("rare characters", lines, vocabulary, settings)


if __name__ == "__main__":
    sys.exit(main())
