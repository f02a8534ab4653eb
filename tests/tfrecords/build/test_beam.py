import json

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.build import beam, chunks
from tfrecords.build.build import BuildSettings, build_records

WORDS = ["sea", "ship", "wind", "sail", "north", "."] + [
    f"word{number}" for number in range(300)
]

needs_beam = pytest.mark.skipif(
    beam.apache_beam is None, reason="apache-beam is not installed"
)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A function: options -> settings over three files of text."""
    # Many chunks of a small text. Workers here are threads of this process.
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2000)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "vocab.txt").write_text("\n".join(special + WORDS) + "\n")
    rng = np.random.default_rng(0)
    texts = [
        " ".join(rng.choice(WORDS, rng.integers(9, 90))) for _ in range(90)
    ]
    texts[50] = texts[3]  # A copy,
    texts[60] = texts[4] + " sea"  # and one that nearly is.
    (tmp_path / "a.txt").write_text("\n\n".join(texts[:40]))
    (tmp_path / "b.txt").write_bytes(
        "\n\n".join(texts[40:70]).encode() + b"\n\nbad \xff\n\n\xc2\xa0"
    )
    lines = [json.dumps({"text": text}) for text in texts[70:]]
    (tmp_path / "c.jsonl").write_text("\n".join([*lines, "{", '{"a": 1}']))

    def make(output, **how):
        return BuildSettings(
            input=[str(tmp_path / name) for name in ("a.txt", "b.txt", "c.*")],
            vocab=str(tmp_path / "vocab.txt"),
            output=str(tmp_path / output),
            **{"max_length": 16, "processes": 1, "on_bad_text": "skip", **how},
        )

    return make


def in_beam(**how):
    # The runner that comes with the Python package.
    options = "--runner=DirectRunner"
    return {"runner": "beam", "beam_options": options, **how}


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@needs_beam
@pytest.mark.parametrize(
    "how",
    [
        {"held_out": 0.2, "shard_rows": 64},
        {"near_duplicates": 0.8, "packing": False},
        {"keep_duplicates": True, "objective": "next_sentence"},
    ],
    ids=str,
)
def test_the_result_is_the_local_builders(settings, tmp_path, how):
    build_records(settings("local", **how))
    build_records(settings("beam", **in_beam(**how)))
    local, found = content(tmp_path / "local"), content(tmp_path / "beam")
    assert found.keys() == local.keys()
    for name, data in local.items():
        assert found[name] == data, name
    reasons = json.loads(local["manifest.json"])["rejected"]
    assert reasons["bad_json"] == reasons["no_text_field"] == 1


@needs_beam
def test_mistakes_are_told_as_such(settings, tmp_path):
    with pytest.raises(UserError, match=r"b\.txt, line .* not UTF-8"):
        build_records(settings("out", **in_beam(on_bad_text="error")))
    assert not (tmp_path / "out").exists()
    options = settings("out", **in_beam(beam_options="--num_workers=many"))
    with pytest.raises(UserError, match="does not understand"):
        build_records(options)
    with pytest.raises(UserError, match="not the standard input"):
        build_records(
            BuildSettings(["-"], options.vocab, options.output, runner="beam")
        )


def test_without_beam_the_extra_is_named(settings, monkeypatch):
    monkeypatch.setattr(beam, "apache_beam", None)
    with pytest.raises(UserError, match=r"tfbert\[beam\]"):
        build_records(settings("out", runner="beam"))


def test_options_of_runners_are_checked(settings):
    with pytest.raises(UserError, match="runner 'spark'"):
        settings("out", runner="spark")
    with pytest.raises(UserError, match="only for --runner beam"):
        settings("out", beam_options="--runner=FlinkRunner")
