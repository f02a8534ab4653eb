"""Which batch a step takes, once batches were left out."""

import pytest

from tfbert.errors import UserError
from trainers.files.rollbacks import Rollbacks


def test_steps_take_the_batches_behind_the_bad_one(tmp_path):
    rollbacks = Rollbacks(tmp_path)
    assert [rollbacks.batch_of(step) for step in range(3)] == [0, 1, 2]
    entry = rollbacks.add(at_step=20, bad_step=25)
    assert (entry.first_batch, entry.last_batch) == (20, 24)
    assert rollbacks.batch_of(19) == 19
    assert rollbacks.batch_of(20) == 25
    # Back to the same step: step 22 was the update of batch 26.
    entry = rollbacks.add(at_step=20, bad_step=22)
    assert (entry.first_batch, entry.last_batch) == (25, 26)
    assert rollbacks.batch_of(20) == 27
    assert rollbacks.count_at(20) == 2
    assert (rollbacks.next_jump(19), rollbacks.next_jump(20)) == (20, None)
    rollbacks.save()
    again = Rollbacks(tmp_path)
    assert again.entries == rollbacks.entries


def test_going_back_further_forgets_what_came_later(tmp_path):
    rollbacks = Rollbacks(tmp_path)
    rollbacks.add(at_step=20, bad_step=25)
    entry = rollbacks.add(at_step=10, bad_step=22)
    assert (entry.first_batch, entry.last_batch) == (10, 26)
    assert [e.at_step for e in rollbacks.entries] == [10]
    assert rollbacks.batch_of(10) == 27


@pytest.mark.parametrize("text", ["{", '[{"at": 1}]', "3"])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "rollbacks.json").write_text(text)
    with pytest.raises(UserError, match=r"rollbacks\.json is damaged"):
        Rollbacks(tmp_path)
