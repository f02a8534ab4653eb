import dataclasses

import pytest

from trainers.finetuning.settings import FinetuningRuntime, with_padding


@dataclasses.dataclass
class Devices:
    kind: str = "one_device"


@pytest.mark.parametrize("kind", ["one_device", "mirrored", "multi_worker"])
def test_padding_is_skipped_by_default(kind):
    assert with_padding(FinetuningRuntime(), Devices(kind)).skip_padding
    given = FinetuningRuntime(skip_padding=False)
    assert with_padding(given, Devices(kind)) == given


def test_a_tpu_computes_padding_unless_it_is_told_not_to():
    tpu = Devices("tpu")
    assert with_padding(FinetuningRuntime(), tpu).skip_padding is False
    wanted = FinetuningRuntime(skip_padding=True)
    assert with_padding(wanted, tpu) == wanted
