import numpy as np
import pytest

from tfbert.errors import UserError
from trainers import preview

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sea", "##s", "calm"]


class _Records:
    """As much of `Records` as a row's text needs."""

    def __init__(self):
        from tfrecords.masking.token_classes import TokenClasses

        self.vocabulary = TOKENS
        self.classes = TokenClasses.of(TOKENS)


def test_decoded_row_tells_the_three_kinds_apart():
    original = np.array([2, 5, 6, 7, 5, 7, 3, 0, 0])
    batch = {
        "input_ids": np.array([[2, 5, 4, 5, 5, 7, 3, 0, 0]]),
        "masked_lm_positions": np.array([[2, 3, 4, 0]]),
        "masked_lm_ids": np.array([[6, 7, 5, 0]]),
        "masked_lm_weights": np.array([[1.0, 1.0, 1.0, 0.0]]),
    }
    text = preview.decoded_row(_Records(), original, batch, 0)
    assert text.plain == "[CLS] sea[MASK](s) [sea](calm) [sea] calm [SEP]"
    styles = {
        text.plain[span.start : span.end]: span.style for span in text.spans
    }
    assert styles["[MASK](s)"] == "white on red"
    assert styles["[sea](calm)"] == "black on yellow"
    assert styles["[sea]"] == "black on green"


@pytest.mark.parametrize(
    "wrong", [["--rows", "-1"], ["--epoch", "-1"], ["--batch_size", "0"]]
)
def test_numbers_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UserError, match="wanted 0, 0 and 1"):
        preview.main(["somewhere", *wrong])


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(UserError, match="no records in"):
        preview.main([str(tmp_path)])
