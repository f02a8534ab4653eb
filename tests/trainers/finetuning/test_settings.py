import dataclasses

import pytest

from tfbert.errors import UserError
from trainers.finetuning.settings import FinetuningRuntime, with_padding


@dataclasses.dataclass
class Devices:
    kind: str = "one_device"


@pytest.mark.parametrize("kind", ["one_device", "mirrored", "multi_worker"])
def test_padding_is_skipped_by_default(kind):
    assert with_padding(FinetuningRuntime(), Devices(kind)).skip_padding
    given = FinetuningRuntime(skip_padding=False)
    assert with_padding(given, Devices(kind)) == given


@pytest.mark.parametrize(
    ("kind", "xla", "named"),
    [("tpu", False, "a TPU"), ("one_device", True, "runtime.xla")],
)
def test_what_is_compiled_for_one_shape_keeps_padding(kind, xla, named):
    runtime = with_padding(FinetuningRuntime(xla=xla), Devices(kind))
    assert runtime.skip_padding is False
    wanted = FinetuningRuntime(xla=xla, skip_padding=True)
    with pytest.raises(UserError, match=f"false or null with {named}"):
        with_padding(wanted, Devices(kind))
