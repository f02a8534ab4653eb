"""The reference tokenizer, for the tests of ours."""

import pytest
import tokenizers


def make_reference(tokens: list[str], lowercase: bool):
    """Hugging Face's BERT tokenizer, special tokens in text left alone."""
    model = tokenizers.models.WordPiece(
        {token: index for index, token in enumerate(tokens)},
        unk_token="[UNK]",
        max_input_chars_per_word=100,
    )
    reference = tokenizers.Tokenizer(model)
    reference.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=lowercase
    )
    reference.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return reference


@pytest.fixture(scope="session")
def reference():
    return make_reference
