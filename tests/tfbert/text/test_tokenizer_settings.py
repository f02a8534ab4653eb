"""What a folder says of its tokenizer is honoured, or refused by name.

Every way in reads the same files: `Tokenizer.from_folder`, the converters,
and the extension of a vocabulary.
"""

import importlib.util
import json

import pytest

from tfbert.converters import tokenizer_files
from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.tokenizer_settings import read, read_case
from tfbert.text.vocabulary_files import SPECIAL_TOKENS
from tfbert.vocabulary.extension import read_old_vocabulary
from tfbert.weights.portable_model import Vocabulary

TOKENS = [*SPECIAL_TOKENS, *"abc", "##a", "##b", "cafe", "café", "<", ">"]
TOKENS += ["user", "中"]


def write_folder(folder, lowercase=True):
    """A folder as Hugging Face 4 writes it, with everything in it."""
    folder.mkdir(exist_ok=True)
    texts = tokenizer_files.files(Vocabulary(tuple(TOKENS), lowercase), 512)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def change(path, **changes):
    """Sets keys of a JSON file, "a.b" inside of "a"; ... takes one out."""
    content = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for key, value in changes.items():
        *way, last = key.split("__")
        place = content
        for name in way:
            place = place[name]
        if value is ...:
            place.pop(last, None)
        else:
            place[last] = value
    path.write_text(json.dumps(content), "utf-8")


def from_extension(folder):
    return read_old_vocabulary(folder, len(TOKENS) + 9, True)


WAYS = [Tokenizer.from_folder, tokenizer_files.read, from_extension, read]
ADDED = {
    "id": len(TOKENS),
    "content": "<user>",
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": True,
    "special": False,
}
SETTINGS, FAST = "tokenizer_config.json", "tokenizer.json"
REFUSED = [
    # Added tokens, wherever they may stand.
    (FAST, {"added_tokens": [ADDED]}, "added tokens '<user>'"),
    ("added_tokens.json", {"<user>": 16}, "added tokens '<user>'"),
    (SETTINGS, {"added_tokens_decoder": {"16": ADDED}}, "tokens '<user>'"),
    (SETTINGS, {"extra_special_tokens": ["[E1]"]}, r"tokens '\[E1\]'"),
    (SETTINGS, {"extra_special_tokens": {"x": "user"}}, "tokens 'user'"),
    (SETTINGS, {"additional_special_tokens": [ADDED]}, "tokens '<user>'"),
    (SETTINGS, {"additional_special_tokens": "[E1]"}, "wanted a list"),
    (SETTINGS, {"added_tokens_decoder": [1]}, "wanted an object"),
    (SETTINGS, {"eos_token": "user"}, "added tokens 'user'"),
    (
        "special_tokens_map.json",
        {"additional_special_tokens": list("abcdefg")},
        "'a', 'b', 'c', 'd', 'e' and 2 more",
    ),
    ("special_tokens_map.json", {"mask_token": "<m>"}, "mask_token is '<m>'"),
    (SETTINGS, {"unk_token": {"content": "?"}}, r"unk_token is '\?'"),
    # Other tokenizers.
    (
        SETTINGS,
        {"tokenizer_class": "BertJapaneseTokenizer"},
        "tokenizer_class is 'BertJapaneseTokenizer'",
    ),
    (SETTINGS, {"tokenizer_class": ["BertTokenizer"]}, "tokenizer_class is"),
    (SETTINGS, {"word_tokenizer_type": "mecab"}, "word_tokenizer_type is"),
    (SETTINGS, {"auto_map": {"AutoTokenizer": ["x.Y", None]}}, "own, in code"),
    # Settings that change ids.
    (SETTINGS, {"do_lower_case": "false"}, "do_lower_case is 'false'"),
    (SETTINGS, {"do_lower_case": None}, "do_lower_case is None"),
    (SETTINGS, {"do_lower_case": 1}, "do_lower_case is 1"),
    (SETTINGS, {"do_lower_case": False}, "which is right"),
    (SETTINGS, {"strip_accents": False}, "strip_accents is False"),
    (SETTINGS, {"strip_accents": "no"}, "strip_accents is 'no'"),
    (SETTINGS, {"tokenize_chinese_chars": False}, "chinese_chars is False"),
    (SETTINGS, {"tokenize_chinese_chars": 1}, "chinese_chars is 1"),
    (SETTINGS, {"never_split": ["<user>"]}, "never_split"),
    (SETTINGS, {"do_basic_tokenize": False}, "do_basic_tokenize is False"),
    (SETTINGS, {"wordpieces_prefix": "@@"}, "wordpieces_prefix is '@@'"),
    (SETTINGS, {"truncation_side": "left"}, "truncation_side is 'left'"),
    (SETTINGS, {"special_tokens_in_text": "no"}, "special_tokens_in_text"),
    (SETTINGS, {"model_max_length": "512"}, "model_max_length is '512'"),
    (SETTINGS, {"model_max_length": True}, "model_max_length is True"),
    (SETTINGS, {"model_max_length": -5}, "model_max_length is -5"),
    # The library's own file.
    (FAST, {"normalizer__lowercase": False}, "which is right"),
    (FAST, {"normalizer__lowercase": None}, "normalizer.lowercase is None"),
    (FAST, {"normalizer__strip_accents": False}, "normalizer.strip_accents"),
    (FAST, {"normalizer__handle_chinese_chars": False}, "chinese_chars is"),
    (FAST, {"normalizer__clean_text": False}, "normalizer.clean_text is"),
    (FAST, {"normalizer": [1]}, r"normalizer is \[1\], wanted an object"),
    (FAST, {"pre_tokenizer__type": "Whitespace"}, "pre_tokenizer.type is"),
    (FAST, {"model__type": "WordLevel"}, "model.type is 'WordLevel'"),
    (FAST, {"model__vocab": {"a": "x"}}, "ids are no numbers"),
    (FAST, {"model__vocab": 7}, "the vocabulary is broken"),
    (FAST, {"model__vocab__c": 90}, "are not 0, 1, 2"),
]


@pytest.mark.parametrize(("file", "changes", "message"), REFUSED)
def test_refused_by_every_way_in(file, changes, message, tmp_path):
    folder = write_folder(tmp_path / "hf")
    if "model_max_length" not in changes:
        # Hugging Face 5 writes no vocab.txt.
        (folder / "vocab.txt").unlink()
    change(folder / file, **changes)
    for way in WAYS:
        with pytest.raises(UserError, match=message) as error:
            way(folder)
        assert str(folder) in str(error.value)


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_folder_of_hugging_face_5(lowercase, tmp_path):
    folder = write_folder(tmp_path / "hf", lowercase)
    for name in ("vocab.txt", "special_tokens_map.json"):
        (folder / name).unlink()
    change(
        folder / SETTINGS,
        never_split=...,
        do_basic_tokenize=...,
        backend="tokenizers",
        is_local=True,
        local_files_only=False,
        model_max_length=1000000000000000019884624838656,
    )
    found = read(folder)
    assert found.tokens == tuple(TOKENS)
    assert (found.lowercase, found.max_length) == (lowercase, None)
    tokenizer = Tokenizer.from_folder(folder)
    assert tokenizer.vocabulary == TOKENS
    assert tokenizer.settings == {"lowercase": lowercase}
    for name in ("DistilBertTokenizerFast", "ElectraTokenizer"):
        change(folder / SETTINGS, tokenizer_class=name)
        assert read(folder) == found
    for name in ("PreTrainedTokenizerFast", "TokenizersBackend"):
        change(folder / SETTINGS, tokenizer_class=name, do_lower_case=...)
        assert read(folder) == found


def test_a_class_that_config_json_names(tmp_path):
    folder = write_folder(tmp_path / "hf")
    change(folder / SETTINGS, tokenizer_class=...)
    change(folder / "config.json", tokenizer_class="BertJapaneseTokenizer")
    with pytest.raises(UserError, match=r"config\.json: tokenizer_class"):
        read(folder)
    # tokenizer_config.json is asked first, as transformers does.
    change(folder / SETTINGS, tokenizer_class="BertTokenizer")
    assert read(folder).lowercase


def test_nobody_says_the_case(tmp_path):
    """BertTokenizer does not look at tokenizer.json's normalizer."""
    folder = write_folder(tmp_path / "hf", lowercase=False)
    change(folder / SETTINGS, do_lower_case=...)
    for way in WAYS:
        with pytest.raises(UserError, match="BertTokenizer lower-cases all"):
            way(folder)
    (folder / FAST).unlink()
    with pytest.raises(UserError, match="wanted do_lower_case true or false"):
        Tokenizer.from_folder(folder)
    (folder / SETTINGS).rename(tmp_path / "kept.json")
    with pytest.raises(UserError, match="but there is no such file: copy the"):
        Tokenizer.from_folder(folder)
    (tmp_path / "kept.json").rename(folder / SETTINGS)
    assert tokenizer_files.read(folder)[0].lowercase
    capitals = [token.upper() for token in TOKENS[5:8]]
    (folder / "vocab.txt").write_text("\n".join([*TOKENS, *capitals]))
    with pytest.raises(UserError, match="has capitals, and no file says"):
        tokenizer_files.read(folder)


@pytest.mark.parametrize("name", ["model_max_length", "max_len"])
def test_the_limit_is_kept(name, tmp_path):
    folder = write_folder(tmp_path / "hf")
    change(folder / SETTINGS, model_max_length=...)
    change(folder / SETTINGS, **{name: 77})
    assert read(folder).max_length == 77
    vocabulary, _ = tokenizer_files.read(folder)
    assert vocabulary.max_length == 77
    text = tokenizer_files.files(vocabulary, 512)[SETTINGS]
    assert json.loads(text)["model_max_length"] == 77
    assert vocabulary.within(77) == Vocabulary(tuple(TOKENS), True)


def test_where_the_special_tokens_go(tmp_path):
    """Only classes that obey tokenizer.json can put them elsewhere."""
    folder = write_folder(tmp_path / "hf")
    processors = {
        "none": None,
        "other": {"type": "RobertaProcessing"},
        "swapped": {
            "type": "BertProcessing",
            "cls": ["[SEP]", 3],
            "sep": ["[CLS]", 2],
        },
        "broken": {"type": "TemplateProcessing", "single": 7},
    }
    for processor in processors.values():
        change(folder / FAST, post_processor=processor)
        change(folder / SETTINGS, tokenizer_class="BertTokenizer")
        assert read(folder).lowercase
        change(folder / SETTINGS, tokenizer_class="TokenizersBackend")
        with pytest.raises(UserError, match="does not make BERT's input"):
            read(folder)
    right = {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]}
    change(folder / FAST, post_processor=right)
    assert read(folder).lowercase


def test_folders_without_a_vocabulary(tmp_path):
    assert read(tmp_path) is None and read_case(tmp_path) is None
    with pytest.raises(UserError, match=r"Cannot read .*vocab\.txt"):
        Tokenizer.from_folder(tmp_path)
    with pytest.raises(UserError, match=r"Cannot read .*vocab\.txt"):
        from_extension(tmp_path)
    assert tokenizer_files.read(tmp_path)[0] is None


def test_a_vocabulary_of_another_name(tmp_path):
    path = tmp_path / "old.txt"
    path.write_text("\n".join(TOKENS), "utf-8")
    change(tmp_path / SETTINGS, do_lower_case=False)
    assert read_case(tmp_path) is False
    with pytest.raises(UserError, match="for cased text"):
        from_extension(path)
    change(tmp_path / SETTINGS, strip_accents=True)
    with pytest.raises(UserError, match="strip_accents is True"):
        from_extension(path)


@pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None,
    reason="transformers is not installed",
)
def test_transformers_has_other_ids_for_what_is_refused(tmp_path):
    """The rules rest on what transformers does with such folders."""
    import transformers

    text = "Café a <user> 中中"

    def theirs(folder, **changes):
        change(folder / "config.json", model_type="bert")
        change(folder / SETTINGS, **changes)
        found = transformers.AutoTokenizer.from_pretrained(str(folder))
        return found.tokenize(text)

    def plain(lowercase=True):
        tokenizer = Tokenizer(TOKENS, lowercase)
        return tokenizer.tokens(tokenizer([text]))[0]

    folder = write_folder(tmp_path / "hf")
    assert theirs(folder) == plain()
    assert theirs(folder, strip_accents=False) != plain()
    folder = write_folder(tmp_path / "chinese")
    assert theirs(folder, tokenize_chinese_chars=False) != plain()
    folder = write_folder(tmp_path / "cased", lowercase=False)
    assert theirs(folder) == plain(lowercase=False)
    # What tokenizer.json says of the case does not count.
    assert theirs(folder, do_lower_case=...) == plain()
    backend = theirs(folder, tokenizer_class="PreTrainedTokenizerFast")
    assert backend == plain(lowercase=False)
    folder = write_folder(tmp_path / "added")
    content = json.loads((folder / FAST).read_text())
    change(folder / FAST, added_tokens=[*content["added_tokens"], ADDED])
    assert "<user>" in theirs(folder)
    assert "<user>" not in plain()
    for name in ("DistilBertTokenizer", "ElectraTokenizer"):
        folder = write_folder(tmp_path / name)
        assert theirs(folder, tokenizer_class=name) == plain()
