"""Options that messages advise are options of the verb that can say so."""

import ast
import functools
import importlib
import re
from pathlib import Path

import trainers
from trainers.cli import VERBS

ROOT = Path(trainers.__file__).parents[1]

# Where a message stands -> the verbs that can say it; the first that fits.
# Of trainers/VERB.py it is that verb.
SPEAKERS = {
    "tfbert/converters": ["convert"],
    "tfbert/text/vocabulary_case.py": ["vocab", "records"],
    "tfrecords/build": ["records"],
    "tfrecords/storage/writer.py": ["records"],
    "tfrecords/text": ["vocab", "records"],
    "tfrecords/labelled/label_counts.py": ["finetune"],
    "tfrecords/labelled": ["finetune", "evaluate", "predict"],
    "trainers/distributed/processes.py": ["launch"],
    "trainers/distributed": ["pretrain", "finetune"],
    "trainers/finetuning/kinds/text_kind.py": ["export"],
    "trainers/finetuning": ["finetune"],
    "trainers/planning/budget.py": ["pretrain"],
    "trainers/pretraining/exporting.py": ["export"],
    "trainers/pretraining": ["pretrain"],
    "trainers/settings/text_options.py": ["vocab", "records"],
}
# Options of other programs.
OTHERS = {
    "tfbert/converters/google.py": {"--do_lower_case"},
    "tfbert/serving/package/documents.py": None,
    "tfrecords/text/formats.py": {"--directory", "--json"},
    "trainers/distributed/slurm.py": {"--ntasks", "--gpus", "--distribution"},
    # Of the verbs that they look at, start or report on.
    "trainers/doctor.py": {"--data.train", "--data.records"},
    "trainers/launch.py": {"--config"},
    "trainers/report.py": {"--seeds", "--sweep"},
    "trainers/files/environment.py": None,
    "trainers/records.py": {"--runner"},
    "trainers/reports": None,
    "trainers/settings/parser.py": {"--help"},
    "trainers/settings/keywords.py": {"--help"},
    "trainers/cli.py": {"--help"},
    "trainers/watching/gpu_memory.py": None,
}
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z_]*(?:\.[a-z_]+)*")
_VERB = re.compile(r"\btfbert ([a-z]+)\b")


def texts():
    """(file, line, text) of each string that is no docstring."""
    for package in ("tfbert", "tfrecords", "trainers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            place = path.relative_to(ROOT).as_posix()
            inner = set()
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr):
                    inner.add(node.value)
                if isinstance(node, ast.JoinedStr):
                    inner.update(node.values)
                    parts = [getattr(v, "value", "{}") for v in node.values]
                    text = "".join(p if type(p) is str else "{}" for p in parts)
                elif isinstance(node, ast.Constant) and node not in inner:
                    text = node.value
                else:
                    continue
                if isinstance(text, str):
                    yield place, node.lineno, text


@functools.cache
def options(verb):
    module = importlib.import_module(VERBS[verb][0])
    parser = module.build_parser()
    return {o for a in parser._actions for o in a.option_strings}


def within(table, place):
    for name, value in table.items():
        if place == name or place.startswith(f"{name}/"):
            return value
    return ()


def test_options_that_messages_name_are_of_the_verb_that_says_so():
    wrong = []
    for place, line, text in texts():
        for found in _OPTION.finditer(text):
            option = found[0]
            others = within(OTHERS, place)
            if option == text or others is None or option in others:
                continue
            # `tfbert records --held_out ...` says itself whose it is.
            named = _VERB.findall(text[: found.start()])
            module = Path(place).stem if place.count("/") == 1 else ""
            verbs = within(SPEAKERS, place) or [module]
            if named:
                verbs = named[-1:]
            for verb in verbs:
                if verb not in VERBS:
                    wrong.append(f"{place}:{line}: who says {option}?")
                elif option not in options(verb):
                    wrong.append(f"{place}:{line}: {verb} has no {option}")
    assert not wrong, "\n".join(wrong)
