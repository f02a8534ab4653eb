"""What the Tokenizer promises, but for the ids (test_tokenization_ids.py)."""

import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENS = [*SPECIAL, *"abcdeé,.[]", "cat", "mask", "中", "##s", "##ab", "##e"]
TEXTS = ["Cats, cat. Abab", "", "[MASK] zzz", "中cat é", b"\xffcat\0s"]
# Ops of TensorFlow itself, and of TF.Text (TF Serving links all of TF.Text's
# kernels: tensorflow_serving/model_servers/BUILD). Keep it short.
ALLOWED_OPS = {
    *("FastBertNormalize", "FastWordpieceTokenizeWithOffsets"),
    *(
        "DecodeRaw",
        "ReduceJoin",
        "StringLength",
        "Substr",
        "UnsortedSegmentJoin",
    ),
    *("StaticRegexFullMatch", "StaticRegexReplace"),
    *("UnicodeDecodeWithOffsets", "UnicodeEncode"),
    *("Const", "Identity", "NoOp", "Placeholder", "StatelessIf"),
    *("Cast", "Fill", "Range", "Shape", "Size", "BroadcastTo", "Tile"),
    *("Any", "Cumsum", "Max", "Prod", "UnsortedSegmentSum"),
    *("Add", "AddV2", "Maximum", "Minimum", "Mul", "Neg", "Sub"),
    *("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual"),
    *("LogicalAnd", "LogicalNot", "LogicalOr", "SelectV2", "Where"),
    *("GatherV2", "LowerBound", "TopKV2", "RaggedTensorToTensor"),
    *("InvertPermutation", "RaggedGather"),
    *("ConcatV2", "ExpandDims", "Pack", "Reshape", "Squeeze", "StridedSlice"),
}


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(TOKENS)


def decode(text: bytes | str) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


def test_ids(tokenizer):
    ids = tokenizer(TEXTS)
    assert isinstance(ids, tf.RaggedTensor)
    assert ids.dtype == tf.int32
    assert ids.shape == (5, None)
    assert tokenizer.tokens(ids) == [
        ["cat", "##s", ",", "cat", ".", "[UNK]"],
        [],
        ["[", "mask", "]", "[UNK]"],
        ["中", "cat", "e"],
        ["cat", "##s"],
    ]


def test_cased_keeps_capitals_and_accents():
    tokenizer = Tokenizer(TOKENS, lowercase=False)
    assert tokenizer.tokens(tokenizer(["Cat é"])) == [["[UNK]", "é"]]


def test_attributes(tokenizer):
    assert tokenizer.vocabulary == TOKENS
    assert tokenizer.vocab_size == len(TOKENS)
    assert [
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.mask_id,
    ] == [0, 1, 2, 3, 4]
    data = "\n".join(TOKENS).encode()
    assert tokenizer.vocab_hash == hashlib.sha256(data).hexdigest()
    assert tokenizer.settings == {"lowercase": True}


def test_tokens_of_anything(tokenizer):
    assert tokenizer.tokens(5) == "a"
    assert tokenizer.tokens(np.array([5, 4])) == ["a", "[MASK]"]
    assert tokenizer.tokens(tf.constant([[5, 6]])) == [["a", "b"]]
    assert tokenizer.tokens([[5], []]) == [["a"], []]


def test_detokenize(tokenizer):
    padded = tokenizer.encode(["cats, cat [MASK]"], max_length=12)["input_ids"]
    want = b"cats , cat [ mask ]"
    assert tokenizer.detokenize(padded).numpy().tolist() == [want]
    ragged = tf.function(lambda x: tokenizer.detokenize(tokenizer(x)))
    got = ragged(tf.constant(["cats", "", "中a"])).numpy().tolist()
    assert got == [b"cats", b"", "中 a".encode()]
    assert tokenizer.detokenize([[4, 5], [0]]).numpy().tolist() == [
        b"[MASK] a",
        b"",
    ]


def test_encode(tokenizer):
    row = tokenizer.encode(["cats"], ["a b c"], max_length=8)
    tokens = tokenizer.tokens(row["input_ids"])[0]
    assert tokens == ["[CLS]", "cat", "##s", "[SEP]", "a", "b", "c", "[SEP]"]
    assert row["input_mask"].numpy().tolist() == [[1] * 8]
    assert row["segment_ids"].numpy().tolist() == [[0] * 4 + [1] * 4]
    assert row["input_ids"].shape == (1, 8)


@pytest.mark.parametrize(("second", "length"), [(None, 1), (["a"], 2)])
def test_encode_without_room(tokenizer, second, length):
    with pytest.raises(ValueError, match=f"max_length is {length}"):
        tokenizer.encode(["a"], second, max_length=length)


@pytest.mark.parametrize("texts", ["a", [["a"]]])
def test_not_a_batch(tokenizer, texts):
    with pytest.raises(ValueError, match="a batch of texts"):
        tokenizer(texts)


def test_empty_batch(tokenizer):
    none = tf.constant([], tf.string)
    assert tokenizer(none).shape == (0, None)
    assert tokenizer.tokenize_with_offsets(none).ids.shape == (0, None)
    assert tokenizer.encode(none, max_length=5)["input_ids"].shape == (0, 5)


def test_in_tf_data(tokenizer):
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(2)
    dataset = dataset.map(tokenizer, num_parallel_calls=2)
    rows = [row for batch in dataset for row in batch.to_list()]
    assert rows == tokenizer(TEXTS).to_list()


def test_in_saved_model(tokenizer, tmp_path):
    module = tf.Module()
    module.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def serve(text):
        spans = tokenizer.tokenize_with_offsets(text)
        return tokenizer.encode(text, max_length=9) | {
            "ends": spans.byte_ends.to_tensor()
        }

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path), {"serving_default": serve})
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    for texts in (TEXTS, [], ["x" * 300], ["a\u302e\u1b44"]):
        texts = tf.constant(texts, tf.string)
        want, got = serve(texts), served(text=texts)
        for key, value in want.items():
            np.testing.assert_array_equal(got[key], value)


@pytest.mark.parametrize("specials", [False, True])
def test_only_ops_that_tf_serving_links(specials):
    tokenizer = Tokenizer(TOKENS, special_tokens_in_text=specials)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def everything(text_a, text_b):
        encoded = tokenizer.encode(text_a, text_b, max_length=8)
        spans = () if specials else tokenizer.tokenize_with_offsets(text_a)
        return encoded, tokenizer.detokenize(encoded["input_ids"]), spans

    graph = everything.get_concrete_function().graph.as_graph_def()
    ops = {node.op for node in graph.node}
    for function in graph.library.function:
        ops |= {node.op for node in function.node_def}
    assert ops <= ALLOWED_OPS, sorted(ops - ALLOWED_OPS)
    assert "FastBertNormalize" in ops


def test_text_does_not_depend_on_its_batch(tokenizer):
    rare = ["a" * 101 + "b", "b\u302e\u1b44", "e\u0301" * 200]
    together = tokenizer(TEXTS + rare).to_list()
    assert together == [tokenizer([t]).to_list()[0] for t in TEXTS + rare]


def test_very_long_texts(tokenizer):
    texts = ["cat " * 500_000, "a" * 3_000_000, "中" * 500_000]
    lengths = tokenizer(texts).row_lengths().numpy().tolist()
    assert lengths == [500_000, 1, 500_000]


def test_save_and_read(tokenizer, tmp_path):
    for lowercase in (True, False):
        made = Tokenizer(TOKENS, lowercase=lowercase)
        made.save(tmp_path)
        read = Tokenizer.from_folder(tmp_path)
        assert read.vocab_hash == made.vocab_hash
        assert read.settings == made.settings
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings == {"do_lower_case": False}


def test_folder_without_settings(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS))
    with pytest.raises(UserError, match="do_lower_case"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_folder_with_broken_settings(tmp_path, text):
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS))
    (tmp_path / "tokenizer_config.json").write_text(text)
    with pytest.raises(UserError, match="do_lower_case"):
        Tokenizer.from_folder(tmp_path)


def test_bad_list_of_tokens():
    with pytest.raises(UserError, match="special tokens"):
        Tokenizer(["a", "b"])


def test_tokens_that_no_text_can_give():
    odd = ["Cat", "a b", "x.y", "##", "\u2028", "\U000f0000", "q" * 300]
    tokens = [*SPECIAL, *odd, "cat", "a", "b", "##b"]
    tokenizer = Tokenizer(tokens)
    texts = ["Cat", "a b", "x.y", "##", "\u2028", "\U000f0000", "q" * 300]
    got = tokenizer.tokens(tokenizer(texts))
    unk = "[UNK]"
    assert got == [["cat"], ["a", "b"], [unk] * 3, [unk] * 2, [], [], [unk]]
    assert tokenizer.vocabulary == tokens


class TestOffsets:
    def test_spans_are_the_tokens(self, tokenizer):
        texts = ["Cats, é 中cat\u00a0a", b"\xff cat\xc3 Cat", "x" * 150 + " a"]
        spans = tokenizer.tokenize_with_offsets(texts)
        np.testing.assert_array_equal(
            spans.ids.flat_values, tokenizer(texts).flat_values
        )
        rows = zip(
            texts, *(spans_of.to_list() for spans_of in spans), strict=True
        )
        got = []
        for text, _, *places in rows:
            whole = decode(text)
            data = text.encode() if isinstance(text, str) else text
            for start, end, first, last in zip(*places, strict=True):
                assert decode(data[start:end]) == whole[first:last]
                got.append(whole[first:last])
        assert got == [
            *("Cat", "s", ",", "é", "中", "cat", "a", "cat", "Cat"),
            "x" * 150,
            "a",
        ]

    def test_removed_characters(self, tokenizer):
        text = "\u200bcat\u00ad\u0301s\u0301 e\u0301a"
        spans = tokenizer.tokenize_with_offsets([text])
        got = [
            text[first:last]
            for first, last in zip(
                spans.character_starts.to_list()[0],
                spans.character_ends.to_list()[0],
                strict=True,
            )
        ]
        assert got == ["cat", "s", "e\u0301a"]
        assert tokenizer.tokens(spans.ids) == [["cat", "##s", "[UNK]"]]

    def test_reordered_marks_point_at_themselves(self):
        tokens = [*SPECIAL, "a", "##\u302e", "##\u1b44"]
        tokenizer = Tokenizer(tokens)
        spans = tokenizer.tokenize_with_offsets(["x a\u302e\u200d\u1b44 a"])
        assert tokenizer.tokens(spans.ids) == [
            ["[UNK]", "a", "##\u1b44", "##\u302e", "a"]
        ]
        assert spans.character_starts.to_list() == [[0, 2, 5, 3, 7]]
        assert spans.byte_ends.to_list() == [[1, 3, 12, 6, 14]]


class TestSpecialTokensInText:
    TEXTS = [
        "a [MASK]b[SEP] c",
        "[mask] [UNK]",
        "[[CLS]]\U000ffff4 a",
        "[MASK",
        "",
    ]

    def test_as_the_reference(self, reference):
        tokenizer = Tokenizer(TOKENS, special_tokens_in_text=True)
        peer = reference(TOKENS, True)
        peer.add_special_tokens(SPECIAL)
        want = [encoding.ids for encoding in peer.encode_batch(self.TEXTS)]
        assert tokenizer(self.TEXTS).to_list() == want

    def test_setting_is_kept(self, tmp_path):
        made = Tokenizer(TOKENS, special_tokens_in_text=True)
        made.save(tmp_path)
        read = Tokenizer.from_folder(tmp_path)
        assert read.settings == made.settings
        assert read.settings["special_tokens_in_text"]

    def test_no_offsets(self):
        tokenizer = Tokenizer(TOKENS, special_tokens_in_text=True)
        with pytest.raises(ValueError, match="plain text"):
            tokenizer.tokenize_with_offsets(["a"])
