import os
import time

import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from trainers.distributed.strategies import make_distribution
from trainers.watching import system_metrics as vitals_module
from trainers.watching.matmul_rate import matmul_rate
from trainers.watching.model_flops import (
    flops_per_masked_token,
    flops_per_token,
)
from trainers.watching.system_metrics import (
    ModelWork,
    Vitals,
    cluster_rate,
    host_memory,
    row_length,
)
from trainers.watching.time_left import Pace

CONFIG = BertConfig.preset("tiny")


def test_mfu_is_the_share_of_the_rate_that_real_tokens_use():
    work = ModelWork(CONFIG, 128, masked_lm=True, device_rate=1e12)
    row = {"tokens": 1000.0, "loss_weight": 150.0, "tokens_per_second": 5e4}
    flops = flops_per_token(CONFIG, 128, 0.15)
    flops += 0.15 * flops_per_masked_token(CONFIG)
    assert work.utilisation(row) == pytest.approx(5e4 * flops / 1e12)
    # Rows of a classification count examples, and have no such head.
    work = ModelWork(CONFIG, 128, masked_lm=False, device_rate=1e12)
    wanted = 5e4 * flops_per_token(CONFIG, 128) / 1e12
    assert work.utilisation(row) == pytest.approx(wanted)
    # And read one token of a row, where the pooled output is all they need.
    work = ModelWork(CONFIG, 128, False, device_rate=1e12, pools=True)
    wanted = 5e4 * flops_per_token(CONFIG, 128, 1 / 128) / 1e12
    assert work.utilisation(row) == pytest.approx(wanted)


@pytest.mark.parametrize("missing", ["tokens", "tokens_per_second"])
def test_without_a_speed_there_is_no_mfu(missing):
    row = {"tokens": 10.0, "tokens_per_second": 5.0, "loss_weight": 1.0}
    del row[missing]
    assert ModelWork(CONFIG, 8, True, 1e9).utilisation(row) is None
    assert "mfu" not in Vitals().of({})


def test_memory_and_age_of_the_newest_checkpoint(tmp_path):
    vitals = Vitals(tmp_path)
    assert "checkpoint_age_seconds" not in vitals.of({})
    now = time.time()
    for step, age in ((100, 30), (90, 10)):
        path = tmp_path / "checkpoints" / f"step-{step:08d}"
        path.mkdir(parents=True)
        os.utime(path, (now - age, now - age))
    # The newest is that of the highest step, whatever the clock says.
    found = vitals.of({})
    assert found["checkpoint_age_seconds"] == pytest.approx(30, abs=5)
    assert 1e7 < found["host_memory_bytes"] < 1e12
    assert "device_memory_bytes" not in found or tf.config.list_logical_devices(
        "GPU"
    )


def test_memory_without_proc(monkeypatch):
    def missing(*_):
        raise OSError

    monkeypatch.setattr(vitals_module.Path, "read_text", missing)
    assert 1e7 < host_memory() < 1e12


def test_a_broken_folder_has_no_age(tmp_path, monkeypatch):
    def broken(_):
        raise OSError

    vitals = Vitals(tmp_path)
    monkeypatch.setattr(type(vitals._checkpoints), "steps", broken)
    assert vitals._checkpoint_age() is None


def test_the_rate_is_measured_in_about_the_time_allowed():
    start = time.perf_counter()
    rate = matmul_rate("float32", seconds=0.05)
    assert 1e8 < rate < 1e16
    assert time.perf_counter() - start < 10
    one = make_distribution("one_device")
    assert 1e8 < cluster_rate(one, "bfloat16", seconds=0.01) < 1e16


def test_a_device_whose_rate_cannot_be_measured(monkeypatch, capsys):
    def refused(*_):
        raise tf.errors.UnimplementedError(None, None, "not\noutside of run")

    vitals_module._rate_of_device.cache_clear()
    monkeypatch.setattr(vitals_module, "matmul_rate", refused)
    rate = cluster_rate(make_distribution("one_device"), "float32")
    assert rate == 0 and "no MFU is shown: not" in capsys.readouterr().err
    row = {"tokens": 10.0, "tokens_per_second": 5.0}
    assert ModelWork(CONFIG, 8, False, rate).utilisation(row) is None


def test_the_rate_is_measured_once_a_process(monkeypatch):
    vitals_module._rate_of_device.cache_clear()
    measured = []

    def measure(*of):
        measured.append(of)
        return 1e9

    monkeypatch.setattr(vitals_module, "matmul_rate", measure)
    one = make_distribution("one_device")
    rates = [cluster_rate(one, d) for d in ("float32", "bfloat16", "float32")]
    vitals_module._rate_of_device.cache_clear()
    assert rates == [1e9] * 3 and len(measured) == 2


def test_the_work_is_known_when_the_first_batches_are_made(monkeypatch):
    class Model:
        class task:
            config, compute_dtype, masked_lm = CONFIG, "float32", None

    monkeypatch.setattr(vitals_module, "cluster_rate", lambda *_: 7.0)
    rows = tf.data.Dataset.from_tensors({"input_ids": tf.zeros([2, 16])})
    vitals = Vitals()
    make = vitals.watching(
        Model, make_distribution("one_device"), lambda _: rows
    )
    assert vitals.work is None
    assert make(0) is rows
    assert vitals.work == ModelWork(CONFIG, 16, True, 7.0)
    other = tf.data.Dataset.from_tensors(tf.zeros([2]))
    assert row_length(other) is None and row_length(object()) is None


def test_the_time_left_follows_from_the_pace():
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.seconds_left(0, 10) is None
    now[0] = 60.0  # compiled
    assert pace.at(1) and pace.seconds_left(1, 10) is None
    now[0] = 64.0
    assert not pace.at(3)
    assert pace.seconds_left(3, 10) == pytest.approx(14)
    assert pace.seconds_left(3, None) is None
    pace.restart()
    assert pace.seconds_left(3, 10) is None
