"""The doctor's estimate of a fine-tuning's memory."""

import yaml

from tfbert.config import BertConfig
from trainers import doctor
from trainers.checks import machine
from trainers.planning.memory_estimate import activation_bytes


def test_memory_is_that_of_what_is_computed(
    small_corpus, tmp_path, monkeypatch
):
    """One long text among short ones: padding takes memory if computed."""
    texts = ["a warm film", "too dull", "not funny"] * 3 + ["a bad film " * 40]
    lines = [f"{text}\t{i % 2}\n" for i, text in enumerate(texts)]
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(lines))
    settings = {
        "model": {"preset": "tiny"},
        "data": {
            "train": str(tmp_path / "train.tsv"),
            "max_length": 128,
            "tokenizer": str(small_corpus / "records"),
        },
        "optimization": {"batch_size": 4},
        "runtime": {"run_dir": str(tmp_path / "run")},
    }
    found = []
    monkeypatch.setattr(
        machine, "check_room", lambda *given: found.append(given[-1])
    )
    for skip in (None, True, False):
        settings["runtime"]["skip_padding"] = skip
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
        assert not doctor.examine(str(tmp_path / "config.yaml")).mistakes
    assert found[0] == found[1] < found[2] / 2
    config = BertConfig.preset("tiny")
    assert found[2] == activation_bytes(config, 4, 128, 0, 4)
