"""The SavedModel of a pretraining run: vectors, fills of [MASK], scores."""

import os
from pathlib import Path

from keras.layers import Layer

from tfbert.converters import building, own, sources
from tfbert.errors import UserError
from tfbert.serving.graphs.embedding import POOLINGS, embedder
from tfbert.serving.graphs.masked_lm import fill_mask
from tfbert.serving.graphs.masked_lm.score import score_function
from tfbert.serving.graphs.servable import Servable
from tfbert.serving.package import versions
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.windows.long_texts import (
    HEAD,
    MAX_WINDOWS,
    WINDOWS,
    LongTexts,
    default_overlap,
)
from tfbert.weights.portable_model import Pooling
from trainers.files.run_folder import RunFolder
from trainers.reports.served import exports
from trainers.reports.served.asking import Asked, asked
from trainers.reports.served.exports import ExportOptions
from trainers.reports.served.model_files import ModelFiles, of_run


def write_export(
    run: RunFolder, output: str | os.PathLike, options: ExportOptions
) -> Path:
    """Exports a run; returns the folder of the new version.

    Raises:
      UserError: no weights, or `output` is in use.
    """
    versions.check_output(Path(output))
    servable, card, layer = served(run, options)
    more = {}
    if options.dtype != "float32":
        more = exports.store(servable, layer, options.dtype)
    weights = own.newest_weights(run.path)
    return exports.write(servable, output, card, run, weights, options, more)


def model_files(run_dir: str, signature: str) -> ModelFiles:
    """The run as `tfbert predict` asks it, about files too."""
    run = RunFolder(run_dir)
    return of_run(run.path, own.newest_weights(run.path), signature, load)


def load(run_dir: Path, signature: str) -> Asked:
    """A run asked as its export would be."""
    servable, card, _ = served(RunFolder(run_dir), ExportOptions())
    return asked(servable, card, signature, run_dir)


def served(
    run: RunFolder, options: ExportOptions
) -> tuple[Servable, dict, Layer]:
    """What is exported, the facts of its card, and the layer in it."""
    pooling = options.pooling
    model = sources.read(run.path)
    tokenizer = Tokenizer.from_folder(run.path)
    max_length = model.config.max_position_embeddings
    if pooling is None:
        kept = model.pooling or Pooling()
        pooling, max_length = kept.mode, kept.max_length or max_length
        if pooling not in POOLINGS:
            raise UserError(
                f"{run.path} makes its vectors by pooling {pooling!r}, which "
                f"an export cannot; give --pooling {' or '.join(POOLINGS)}"
            )
    more, facts = {}, {}
    if "masked_lm" in model.parts:
        layer = building.make_pretraining_task(model, options.policy)
        more["fill_mask"] = fill_mask.fill_mask_function(
            layer,
            fill_mask.mask_tokenizer(tokenizer),
            max_length,
            limits=options.limits,
        )
        more["score"] = score_function(layer, tokenizer, max_length)
        facts = options.limits.facts("max_masks")
    else:
        layer = building.make_encoder(model, options.policy)
    reading = _long_texts(options, max_length)
    servable = embedder(layer, tokenizer, max_length, pooling, more, reading)
    card = {
        "kind": "embedding",
        "inputs": ["text"],
        "max_length": max_length,
        "pooling": pooling,
        "long_texts": reading.how,
        "refuse_longer": reading.refuse,
        "vocabulary_sha256": tokenizer.vocab_hash,
        **facts,
    }
    if reading.how == WINDOWS:
        card |= {
            "window_overlap": reading.overlap,
            "max_windows": reading.max_windows,
        }
    return servable, card, layer


def _long_texts(options: ExportOptions, max_length: int) -> LongTexts:
    """How texts are read that are longer than a row.

    Raises:
      UserError: windows are to be bounded where there are none.
    """
    most, refuse = options.limits.max_windows, options.limits.refuse_longer
    if options.long_texts == WINDOWS:
        overlap = default_overlap(max_length)
        return LongTexts(WINDOWS, overlap, most or MAX_WINDOWS, refuse)
    if most is not None:
        raise UserError(
            "--max_windows is for texts in windows; give --long_texts windows "
            "too, or leave it out"
        )
    return LongTexts(options.long_texts or HEAD, refuse=refuse)
