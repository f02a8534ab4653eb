"""Masked batches a second, side by side: tfbert, keras-nlp, Hugging Face.

    python -m benchmarks.input_pipeline --records records/

Every contender reads the same rows of token ids and gives masked batches of
the 2018 keys or its own, 15 % of the tokens, on all cores. Peers get the ids
from memory, which leaves them less to do. Contenders take turns; a row is the
median over the turns. Peers that are not installed are left out
(`pip install tfbert[peers,hf]`).
"""

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import rich.console
import rich.table
import tensorflow as tf

from tfrecords.batches.dataset import pretraining_batches
from tfrecords.masking.masking import STRATEGIES, Masking
from tfrecords.storage.reader import Records

RATE = 0.15


def main() -> None:
    """Measures every contender and prints the table."""
    arguments = parse_arguments()
    records = Records(arguments.records)
    makers = contenders(records, arguments.batch_size)
    rates: dict[str, list[float]] = {name: [] for name in makers}
    cpu: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(arguments.turns):
        for name, maker in makers.items():
            rate, per_cpu = measure(
                maker, arguments.batch_size, arguments.seconds
            )
            rates[name].append(rate)
            cpu[name].append(per_cpu)
    table = rich.table.Table(
        title=f"Masked, batched rows of {records.sequence_length} tokens a "
        f"second: batch {arguments.batch_size}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}"
    )
    for column in ("contender", "rows a second", "a second of CPU time"):
        table.add_column(column, justify="right" if "sec" in column else "left")
    result = {}
    for name in makers:
        rate = statistics.median(rates[name])
        per_cpu = statistics.median(cpu[name])
        result[name] = {"rows_per_second": rate, "per_cpu_second": per_cpu}
        table.add_row(name, f"{rate:,.0f}", f"{per_cpu:,.0f}")
    rich.console.Console().print(table)
    if arguments.json:
        with open(arguments.json, "w") as stream:
            json.dump(result, stream, indent=1)


def parse_arguments() -> argparse.Namespace:
    """The options of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", required=True)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", help="write the figures here, too")
    return parser.parse_args()


def contenders(
    records: Records, batch_size: int
) -> dict[str, Callable[[], Iterator]]:
    """{name: a function that starts an endless iterator of batches}."""
    most = Masking(rate=RATE).predictions(records.sequence_length)
    makers: dict[str, Callable[[], Iterator]] = {}
    for strategy in STRATEGIES:
        masking = Masking(strategy, RATE)
        makers[f"tfbert, {strategy}"] = lambda masking=masking: iter(
            pretraining_batches(
                records, masking, seed=0, global_batch_size=batch_size
            )
        )
    rows = records.tokens(np.arange(min(records.num_rows, 65536)))
    if importlib.util.find_spec("keras_nlp"):
        makers["keras-nlp MaskedLMMaskGenerator"] = lambda: keras_nlp_batches(
            rows, records, batch_size, most
        )
    if importlib.util.find_spec("transformers"):
        makers["Hugging Face collator, 1 process"] = lambda: (
            hugging_face_batches(rows, records, batch_size)
        )
    return makers


def keras_nlp_batches(rows, records, batch_size, most) -> Iterator:
    """What keras-nlp's BertMaskedLMPreprocessor does after tokenizing."""
    import keras_nlp

    classes = records.classes
    mask = keras_nlp.layers.MaskedLMMaskGenerator(
        vocabulary_size=classes.vocab_size,
        mask_selection_rate=RATE,
        mask_token_id=classes.mask_id,
        mask_selection_length=most,
        unselectable_token_ids=np.flatnonzero(~classes.maskable).tolist(),
    )
    dataset = tf.data.Dataset.from_tensor_slices(rows).repeat()
    dataset = dataset.shuffle(len(rows)).batch(batch_size, drop_remainder=True)
    dataset = dataset.map(mask, num_parallel_calls=tf.data.AUTOTUNE)
    return iter(dataset.prefetch(4))


def hugging_face_batches(rows, records, batch_size) -> Iterator:
    """DataCollatorForLanguageModeling on lists of ids, as a Trainer runs it.

    One process: it is what a DataLoader worker does, so more workers give as
    many times more where there are cores for them.
    """
    import tempfile

    import transformers

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vocab.txt")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("\n".join(records.vocabulary) + "\n")
        tokenizer = transformers.BertTokenizerFast(path)
        collate = transformers.DataCollatorForLanguageModeling(
            tokenizer, mlm_probability=RATE
        )
    order = np.random.default_rng(0)
    while True:
        chosen = order.integers(0, len(rows), batch_size)
        yield collate([{"input_ids": rows[row]} for row in chosen])


def measure(maker, batch_size: int, seconds: float) -> tuple[float, float]:
    """(rows a second, rows a second of CPU time) of an iterator."""
    batches = maker()
    for _ in range(8):
        next(batches)
    count = 0
    start, start_cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        next(batches)
        count += batch_size
    took = time.perf_counter() - start
    return count / took, count / (time.process_time() - start_cpu)


if __name__ == "__main__":
    main()
