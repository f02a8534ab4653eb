"""Exports in a process without Python TensorFlow: TF Serving's own loader."""

import c_api
import numpy as np
import pytest
from every_kind import TEXTS, batch_of, call, example, on_strings, same

from tfbert.serving.package import signatures

pytestmark = pytest.mark.long


def right_requests(inputs) -> dict:
    """Key -> (signature, inputs), for the signatures of a kind."""
    asked = {}
    for name in inputs:
        one = signatures.request(inputs, name, 9)
        asked[f"{name} request"] = name, one
    for _, name, specs in on_strings({"": inputs}):
        asked[f"{name} texts"] = name, batch_of(specs, TEXTS)
        asked[f"{name} none"] = name, batch_of(specs, [])
    rows = batch_of(inputs["serving_default"], TEXTS)
    packed = np.empty(len(TEXTS), object)
    packed[:] = [
        example({key: value[i] for key, value in rows.items()})
        for i in range(len(TEXTS))
    ]
    asked["examples texts"] = "examples", {"examples": packed}
    return asked


def wrong_shapes(batch):
    """What is wrong -> inputs of one row, one of them of another shape."""
    for name, value in batch.items():
        for rank in range(value.ndim + 2):
            if rank != value.ndim:
                shape = (*value.shape, 1, 1)[:rank]
                wrong = np.resize(value, shape)
                yield f"{name} of rank {rank}", {**batch, name: wrong}
        if len(batch) > 1:
            more = np.concatenate([value] * 3)
            yield f"three rows of {name}", {**batch, name: more}
        if value.ndim > 1 and len(batch) > 2:
            more = np.concatenate([value] * 2, axis=-1)
            yield f"more places in {name}", {**batch, name: more}


def wrong_ids(batch):
    """What is wrong -> inputs of `tokens`, one id of which is too large."""
    for name in ("input_ids", "segment_ids"):
        if name in batch:
            for wrong in (-1, 10_000):
                value = batch[name].copy()
                value.flat[-1] = wrong
                yield f"{wrong} in {name}", {**batch, name: value}


def wrong_requests(inputs) -> dict:
    """Key -> (signature, inputs) that it does not take."""
    found = {}
    for name in inputs:
        right = signatures.request(inputs, name, 9)
        for what, wrong in [*wrong_shapes(right), *wrong_ids(right)]:
            found[f"{name}: {what}"] = name, wrong
    return found


@pytest.fixture(scope="module")
def answers(exports, inputs, tmp_path_factory):
    """Kind -> key -> what the C API answers; wrong requests come first."""
    asked = {
        folder: wrong_requests(inputs[kind]) | right_requests(inputs[kind])
        for kind, folder in exports.items()
    }
    found = c_api.ask(asked, tmp_path_factory.mktemp("requests"))
    return {kind: found[folder] for kind, folder in exports.items()}


def test_every_signature_is_answered_as_in_python(kinds, inputs, answers):
    for kind, of_kind in inputs.items():
        requests = right_requests(of_kind)
        for key, (name, batch) in requests.items():
            answer = answers[kind][key]
            assert not isinstance(answer, str), (kind, key, answer)
            same(answer, call(kinds, kind, name, batch))
        # As the same texts without their envelope.
        same(
            answers[kind]["examples texts"],
            answers[kind]["serving_default texts"],
        )
        assert {name for name, _ in requests.values()} == set(of_kind)


def test_other_shapes_are_refused_and_the_process_goes_on(inputs, answers):
    for kind, of_kind in inputs.items():
        requests = wrong_requests(of_kind)
        assert len(requests) >= 2 * len(of_kind)
        for key in requests:
            answer = answers[kind][key]
            assert isinstance(answer, str), (kind, key)
            assert "wanted" in answer, (kind, key, answer)
