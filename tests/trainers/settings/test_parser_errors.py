"""What a user reads when a command line or a config file is wrong."""

import pytest

from tfbert.errors import UserError
from trainers import (
    convert,
    evaluate,
    export,
    finetune,
    predict,
    pretrain,
    records,
    vocab,
)
from trainers.settings.nearest_name import MEANINGS, nearest_setting


def test_what_nobody_could_have_meant_gets_no_advice():
    known = ["model.preset", "optimization.learning_rate"]
    assert nearest_setting("tiny", known) is None
    assert nearest_setting("zzz", known) is None


def test_every_meaning_is_a_setting():
    names = {
        action.dest.rsplit(".", 1)[-1]
        for verb in (pretrain, finetune, records)
        for action in verb.build_parser()._actions
    }
    others = {
        action.dest
        for verb in (convert, evaluate, predict, vocab)
        for action in verb.build_parser()._actions
    }
    meant = {part for meaning in MEANINGS.values() for part in meaning.split()}
    assert not meant - names - others
    # Of the verbs that lack a name another has, it is nearest to something.
    shared = {"model", "output", "vocab", "text_field"}
    assert not set(MEANINGS) & names - shared


@pytest.mark.parametrize(
    "verb,word,meant",
    [
        (finetune, "lr", "optimization.learning_rate"),
        (finetune, "max-steps", "optimization.steps"),
        (finetune, "bs", "optimization.batch_size"),
        (finetune, "epoch", "optimization.epochs"),
        (finetune, "model_name_or_path", "model.init_from"),
        (finetune, "per_device_train_batch_size", "optimization.batch_size"),
        (
            finetune,
            "per-device-eval-batch-size",
            "runtime.evaluation_batch_size",
        ),
        # A section is no setting.
        (finetune, "model", "model.init_from"),
        (finetune, "d_model", "model.hidden_size"),
        # Spelt like eval_strategy: runtime.strategy; do_train: data.train.
        (finetune, "eval_strategy", "runtime.evaluate_every"),
        (finetune, "do_train", None),
        (finetune, "vocab_size", None),
        # Spelt almost like what others call it.
        (finetune, "num_train_epoch", "optimization.epochs"),
        (finetune, "learning_rte", "optimization.learning_rate"),
        (finetune, "Batch-Size", "optimization.batch_size"),
        # One word, and what each verb has of its meanings.
        (finetune, "dataset", "data.train"),
        (pretrain, "dataset", "data.records"),
        (records, "dataset", "input"),
        (vocab, "vocab_size", "size"),
        (records, "vocab_file", "vocab"),
        (pretrain, "mlm_probability", "data.masking.rate"),
        (export, "output_dir", "output"),
        (predict, "column", "text_column"),
        (pretrain, "nonsense", None),
    ],
)
def test_a_setting_is_found_by_spelling_and_by_meaning(verb, word, meant):
    known = [action.dest for action in verb.build_parser()._actions]
    assert nearest_setting(word, known) == meant


@pytest.mark.parametrize(
    "given,columns",
    [
        (["--data.text_columns", "review"], ["review"]),
        (["--data.text_columns=a,b"], ["a", "b"]),
        (["--data.text_columns", "a, b"], ["a", "b"]),
        (["--data.text_columns", "[a, b]"], ["a", "b"]),
        (["--data.text_columns", '["a,b"]'], ["a,b"]),
        # Another option is not taken for the list.
        (["--data.label_column", "a,b"], ["text"]),
    ],
)
def test_lists_as_people_write_them(given, columns):
    settings = finetune.build_parser().parse_args(given)
    assert settings.data.text_columns == columns


@pytest.mark.parametrize(
    "verb,given,said",
    [
        (
            pretrain,
            ["--optimization.steps", "many"],
            "wanted optimization.steps to be a whole number, got many",
        ),
        (
            pretrain,
            ["--optimization.batch_ramp", "3"],
            "to be a list of {batch_size, steps} or null, got 3",
        ),
        (
            pretrain,
            ["--runtime.xla", "maybe"],
            "wanted runtime.xla to be true or false, got maybe",
        ),
        (
            finetune,
            ["--optimization.class_weights", "{a: b}"],
            "one of balanced or names with values or null, got {'a': 'b'}",
        ),
        (
            finetune,
            ["--model.preset", "huge"],
            "one of tiny, mini, small, medium, base, large or null, got huge",
        ),
        (
            finetune,
            ["--runtime.allow_change", "[a, 3]"],
            "such as [a, b], got 3",
        ),
        (
            finetune,
            ["--model", "tiny"],
            "model is a section and holds settings, got 'tiny'. Give one of "
            "them by name, such as --model.init_from",
        ),
        (records, ["--input", "x"], "wanted also --vocab, --output"),
        (finetune, ["hey"], "'hey' stands alone"),
        (
            evaluate,
            ["run", "x.tsv", "--data", "y.tsv"],
            "'x.tsv' stands alone, and settings are given by name: --data",
        ),
        (finetune, ["--optimization.steps"], "a value after --optimization"),
        (finetune, ["--config", "no.yaml"], "got no.yaml: there is no such"),
    ],
)
def test_what_was_wanted_and_what_came(verb, given, said):
    with pytest.raises(UserError) as error:
        verb.build_parser().parse_args(given)
    assert said in str(error.value) and "class '" not in str(error.value)


@pytest.mark.parametrize(
    "content,said",
    [
        ("model:\n  presett: tiny\n", "there is no setting model.presett\n"),
        ("foo: 3\n", "there is no setting foo"),
        ("a: [\n", "is not YAML: while parsing a flow node"),
        ("text,label\na,b\n", "that begins with 'text,label' and names none"),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path, content, said):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as error:
        finetune.build_parser().parse_args([f"--config={path}"])
    assert f"{path}: {said}" in str(error.value) or (
        f"{path} {said}" in str(error.value)
    )
