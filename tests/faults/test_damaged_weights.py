"""Files of weights and settings with bits turned over, as disks do.

What is read is either what it was, other numbers of the same kind, or one
message: never a traceback, never a reader that does not end.
"""

import os
import random
import shutil
import signal
import time

import numpy as np
import pytest

from tfbert.converters.tokenizer_files import files
from tfbert.errors import UserError
from tfbert.text.tokenizer_settings import read as read_tokenizer
from tfbert.text.vocabulary_files import SPECIAL_TOKENS
from tfbert.weights import checkpoint_files, hdf5_files, safetensors_files
from tfbert.weights.portable_model import Vocabulary
from tfbert.weights.safetensors_files import to_bytes

pytestmark = pytest.mark.faults

RNG = np.random.default_rng(0)
TENSORS = {
    f"layers/{name}/vars/{i}": RNG.normal(size=(3 + i, 7)).astype(np.float32)
    for name in ("one", "two", "three")
    for i in range(3)
}


def flips(data, count, seed=0, first=0):
    """`count` times the data with one to four bits turned over."""
    draw = random.Random(seed)
    for _ in range(count):
        broken = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(first, len(broken))
            broken[place] ^= 1 << draw.randrange(8)
        yield bytes(broken)


def cuts(data, count):
    draw = random.Random(1)
    for _ in range(count):
        yield data[: draw.randrange(len(data))]


def outcomes(read, broken):
    """How many were read, and how many refused; nothing else happens."""
    good = bad = 0
    end = time.monotonic() + 120
    for data in broken:
        try:
            read(data)
            good += 1
        except UserError as error:
            assert len(str(error)) < 2000
            bad += 1
        assert time.monotonic() < end
    return good, bad


@pytest.mark.parametrize("kind", ["hdf5", "safetensors"])
def test_files_of_weights(kind, tmp_path):
    path = tmp_path / "x"
    if kind == "hdf5":
        data, read = hdf5_files.to_bytes(TENSORS), hdf5_files.read
    else:
        data, read = to_bytes(TENSORS), safetensors_files.read_file

    def attempt(broken):
        path.write_bytes(broken)
        for value in read(path).values():
            assert value.nbytes <= 64 * len(broken)

    # Where the tensors are, a flip is another number.
    head = data[:8192] if kind == "hdf5" else data[:700]
    good, bad = outcomes(
        attempt, (new + data[len(head) :] for new in flips(head, 400))
    )
    assert good and bad
    _, bad = outcomes(attempt, cuts(data, 50))
    assert bad == 50


def test_files_of_tokenizers(tmp_path):
    tokens = (*SPECIAL_TOKENS, "a", "##b", "é")
    texts = files(Vocabulary(tokens, True), 64)

    def attempt(item):
        name, broken = item
        for file, text in texts.items():
            (tmp_path / file).write_bytes(text.encode())
        (tmp_path / name).write_bytes(broken)
        read_tokenizer(tmp_path)

    broken = [
        (name, data)
        for name, text in texts.items()
        for data in flips(text.encode(), 150)
    ]
    good, bad = outcomes(attempt, broken)
    assert good and bad > good


def test_checkpoints_of_tensorflow(tmp_path):
    """TensorFlow's reader may end the process; a copy of ours goes first."""
    whole = tmp_path / "whole"
    whole.mkdir()
    checkpoint_files.write(str(whole / "x.ckpt"), TENSORS)
    folder = tmp_path / "broken"
    shutil.copytree(whole, folder)
    index = whole / "x.ckpt.index"

    def attempt(data):
        (folder / index.name).write_bytes(data)
        checkpoint_files.read(str(folder / "x.ckpt"))

    data = index.read_bytes()
    _, bad = outcomes(attempt, [*flips(data, 120), *cuts(data, 30)])
    assert bad > 100


def test_the_death_of_the_reader_is_a_message(tmp_path, monkeypatch):
    checkpoint_files.write(str(tmp_path / "x.ckpt"), TENSORS)
    read = checkpoint_files._read_everything

    def die(prefix):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(checkpoint_files, "_read_everything", die)
    with pytest.raises(UserError, match="reader dies of it; copy it"):
        checkpoint_files.read(str(tmp_path / "x.ckpt"))
    monkeypatch.setattr(
        checkpoint_files, "_read_everything", lambda prefix: time.sleep(60)
    )
    monkeypatch.setattr(checkpoint_files, "_TRIAL_SECONDS", 0.2)
    with pytest.raises(UserError, match="does not come to an end; copy it"):
        checkpoint_files.read(str(tmp_path / "x.ckpt"))
    monkeypatch.setattr(checkpoint_files, "_read_everything", read)
    monkeypatch.setattr(checkpoint_files, "_TRIAL_SECONDS", 60)
    found = checkpoint_files.read(str(tmp_path / "x.ckpt"))
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found[name], value)
