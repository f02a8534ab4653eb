"""`tfbert predict EXPORT "text"`: asks a SavedModel, as a server would.

The export is loaded by TensorFlow alone; no code of the model takes part.
"""

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import rich.table
import rich.text

from tfbert import export
from tfbert.errors import UserError
from tfrecords.finetuning import tables
from trainers import command

EXAMPLE = "tfbert predict exports/reviews 'a warm and funny film'"

# Texts of one call of the model, and of one table on the screen.
_BATCH = 64
_SHOWN_CLASSES = 3


def build_parser() -> command.Parser:
    """The options of `tfbert predict`."""
    parser = command.make_parser(
        "predict", "Labels text with an exported model.", EXAMPLE
    )
    parser.add_argument("export", help="the export folder, or one version")
    parser.add_argument("text", nargs="*", help="what to label")
    parser.add_argument(
        "--text_b",
        action="append",
        default=[],
        help="second sentence, for a model of pairs; once for each text",
    )
    parser.add_argument(
        "--file",
        help="label the rows of a file too: .txt (a text on each line; for "
        "pairs, a tab between the two), .tsv, .csv or .jsonl",
    )
    parser.add_argument(
        "--text_column",
        action="append",
        default=[],
        help="the file's column, given twice for pairs (default: the names "
        "that the model's training data had)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a line, with all probabilities",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(_options_last(argv))
    # Before TensorFlow is imported, which takes seconds.
    version = export.newest_version(args.export)
    card = export.read_card(version)
    inputs = _given(args.text, args.text_b)
    model = Model(version)
    if args.file:
        columns = args.text_column or card.get("text_columns", [])
        inputs += _read_file(Path(args.file), columns, len(model.inputs))
    if not inputs:
        raise UserError(f"no text was given.\nExample:  {EXAMPLE}")
    model.check(inputs)
    answers = model.answer(inputs)
    if args.json:
        for texts, answer in zip(inputs, answers, strict=True):
            row = dict(zip(model.inputs, texts, strict=True)) | answer
            print(json.dumps(row, ensure_ascii=False))
    else:
        command.console.print(_table(model, inputs, list(answers)))


class Model:
    """A SavedModel with the signature `serving_default` on strings.

    Attributes:
      inputs: names of its inputs: ["text"] or ["text_a", "text_b"].
      labels: names of the classes; empty if the export does not tell.

    Raises:
      UserError: the folder holds some other kind of SavedModel.
    """

    def __init__(self, version: Path):
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  registers operations

        self._tf = tf
        try:
            self._loaded = tf.saved_model.load(str(version))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"{version}: cannot be loaded as a SavedModel: {error}"
            ) from error
        self._answer = self._loaded.signatures.get("serving_default")
        wanted = self._answer and self._answer.structured_input_signature[1]
        self.inputs = sorted(wanted or {})
        if self.inputs not in (["text"], ["text_a", "text_b"]):
            raise UserError(
                f"{version}: an export with the inputs text, or text_a and "
                f"text_b, was wanted, not with {', '.join(self.inputs) or 0}."
            )
        self.labels: list[str] = export.read_card(version).get("labels", [])

    def check(self, inputs: Sequence[tuple[str, ...]]) -> None:
        """Refuses sentences where pairs are wanted, and pairs elsewhere.

        Raises:
          UserError: so it is.
        """
        for texts in inputs:
            if len(texts) < len(self.inputs):
                raise UserError(
                    "this model labels pairs of sentences: give the second "
                    "one with --text_b."
                )
            if len(texts) > len(self.inputs):
                raise UserError(
                    "this model labels single sentences: leave --text_b out."
                )

    def answer(self, inputs: Sequence[tuple[str, ...]]) -> Iterator[dict]:
        """Yields a dict for each of `inputs`.

        It has "label" and "probabilities" ({label: probability}), or
        "embedding".
        """
        for start in range(0, len(inputs), _BATCH):
            columns = zip(*inputs[start : start + _BATCH], strict=True)
            batch = {
                name: self._tf.constant([_utf8(text) for text in column])
                for name, column in zip(self.inputs, columns, strict=True)
            }
            answers = {
                name: value.numpy()
                for name, value in self._answer(**batch).items()
            }
            for row in range(len(next(iter(answers.values())))):
                yield self._readable({k: v[row] for k, v in answers.items()})

    def _readable(self, answer: dict[str, np.ndarray]) -> dict:
        if "embedding" in answer:
            return {"embedding": answer["embedding"].tolist()}
        probabilities = answer["probabilities"].tolist()
        names = self.labels or map(str, range(len(probabilities)))
        return {
            "label": answer["label"].decode("utf-8"),
            "probabilities": dict(zip(names, probabilities, strict=True)),
        }


def _options_last(argv: Sequence[str]) -> list[str]:
    """Moves options behind the texts, where argparse wants them.

    `predict EXPORT --json TEXT` would else be an error: a list of texts ends
    at the first option (bpo-14191). After "--" all is text.
    """
    texts, options, rest = [], [], iter(argv)
    for word in rest:
        if word == "--":
            texts += rest
        elif word.startswith("--"):
            options.append(word)
            if word not in ("--json", "--help") and "=" not in word:
                options += itertools.islice(rest, 1)
        elif word == "-h":
            options.append(word)
        else:
            texts.append(word)
    return [*options, "--", *texts]


def _utf8(text: str) -> bytes:
    # Bytes of the command line that are no UTF-8 came in as surrogates; the
    # model answers for them too.
    return text.encode("utf-8", "surrogateescape")


def _given(
    text_a: Sequence[str], text_b: Sequence[str]
) -> list[tuple[str, ...]]:
    if not text_b:
        return [(text,) for text in text_a]
    if len(text_a) != len(text_b):
        raise UserError(
            f"{len(text_a)} texts but {len(text_b)} for --text_b; each text "
            "needs its own second sentence."
        )
    return list(zip(text_a, text_b, strict=True))


def _read_file(
    path: Path, columns: Sequence[str], count: int
) -> list[tuple[str, ...]]:
    if path.suffix == ".txt":
        return [
            tuple(line.split("\t", count - 1))
            for line in tables.read_text(path).split("\n")
            if line.strip()
        ]
    if len(columns) != count:
        raise UserError(
            f"{path}: the model reads {count} columns of text; name them "
            f"with --text_column, not {len(columns)}."
        )
    table = tables.read_table(path, columns)
    return list(zip(*(table.columns[name] for name in columns), strict=True))


def _table(
    model: Model, inputs: Sequence[tuple[str, ...]], answers: list[dict]
) -> rich.table.Table:
    table = rich.table.Table()
    for name in model.inputs:
        table.add_column(name, overflow="fold")
    if "embedding" in answers[0]:
        table.add_column("embedding")
        for texts, answer in zip(inputs, answers, strict=True):
            first = ", ".join(f"{x:.3f}" for x in answer["embedding"][:4])
            table.add_row(*map(_plain, texts), f"{first}, ...")
        return table
    table.add_column("label", style="bold")
    table.add_column("probability", justify="right")
    table.add_column("next")
    for texts, answer in zip(inputs, answers, strict=True):
        ranked = sorted(answer["probabilities"].items(), key=lambda x: -x[1])
        others = ", ".join(
            f"{name} {value:.3f}" for name, value in ranked[1:_SHOWN_CLASSES]
        )
        table.add_row(
            *map(_plain, texts),
            _plain(answer["label"]),
            f"{ranked[0][1]:.4f}",
            _plain(others),
        )
    return table


def _plain(text: str) -> rich.text.Text:
    """Text as it is: no markup, and what is no character shown as \\ufffd."""
    readable = text.encode("utf-8", "surrogateescape")
    return rich.text.Text(readable.decode("utf-8", "replace"))


if __name__ == "__main__":
    sys.exit(command.run(main))
