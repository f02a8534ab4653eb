"""All kinds of tasks by name; each is imported when it is asked for."""

import difflib
import importlib

from tfbert.errors import UserError
from trainers.finetuning.kind import Kind

KINDS = {
    "classification": "trainers.finetuning.classification:Classification",
    "multi_label": "trainers.finetuning.multi_label:MultiLabel",
    "regression": "trainers.finetuning.regression:Regression",
    "multiple_choice": "trainers.finetuning.multiple_choice:MultipleChoice",
    "question_answering": (
        "trainers.finetuning.question_answering:QuestionAnswering"
    ),
    "token_labelling": "trainers.finetuning.token_labelling:TokenLabelling",
    "role_labelling": "trainers.finetuning.role_labelling:RoleLabelling",
}


def find_kind(name: object) -> type[Kind]:
    """The kind of that name.

    Raises:
      UserError: there is none.
    """
    if name not in KINDS:
        near = difflib.get_close_matches(str(name), KINDS, 1)
        raise UserError(
            f"there is no task {name!r}; wanted one of {', '.join(KINDS)}"
            + (f" (the nearest is {near[0]})" if near else "")
        )
    module, class_name = KINDS[name].split(":")
    return getattr(importlib.import_module(module), class_name)
