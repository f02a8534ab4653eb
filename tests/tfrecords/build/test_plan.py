import pytest

from tfbert.errors import UserError
from tfrecords import layout
from tfrecords.build.plan import HELD_OUT, TRAIN, Plan

LOW, HIGH = 1, 2**64 - 1  # First digests: held out, and not.


def test_parts_stay_with_their_first():
    plan = Plan(0.5, keep_duplicates=False, near_duplicates=())
    splits = [
        plan.place((digest, number), 10, part, ("a", line)).split
        for number, (digest, part, line) in enumerate(
            [(LOW, 0, 1), (HIGH, 1, 1), (HIGH, 0, 2), (LOW, 1, 2)]
        )
    ]
    assert splits == [HELD_OUT, HELD_OUT, TRAIN, TRAIN]
    plan.check()


def test_a_share_that_holds_nothing_out_is_told_after_reading():
    plan = Plan(0.5, keep_duplicates=False, near_duplicates=())
    plan.check()  # No text at all is another mistake.
    plan.place((HIGH, 0), 10, 0, ("a", 1))
    plan.place((HIGH, 1), 10, 1, ("a", 1))
    with pytest.raises(UserError, match="none of the 1 documents falls"):
        plan.check()


@pytest.mark.parametrize("lone", [LOW, HIGH])
def test_next_sentences_need_two_documents_on_each_side(lone):
    plan = Plan(0.5, False, (), layout.NEXT_SENTENCE)
    other = LOW + HIGH - lone
    for line in (1, 2):
        plan.place((other, line), 10, 0, ("a", line))
    plan.place((lone, 3), 10, 0, ("b", 7))
    with pytest.raises(UserError, match=r"got one \(\w+: b, line 7\)"):
        plan.check()
    plan.place((lone, 4), 10, 0, ("b", 8))
    plan.check()
