"""All kinds of tasks by name; each is imported when it is asked for."""

import difflib
import importlib

from tfbert.errors import UserError
from trainers.finetuning.kinds.kind import Kind

KINDS = {
    "classification": "trainers.finetuning.kinds.classification:Classification",
    "multi_label": "trainers.finetuning.kinds.multi_label:MultiLabel",
    "regression": "trainers.finetuning.kinds.regression:Regression",
    "embedding": "trainers.finetuning.kinds.embedding:Embedding",
    "multiple_choice": (
        "trainers.finetuning.kinds.multiple_choice:MultipleChoice"
    ),
    "question_answering": (
        "trainers.finetuning.kinds.question_answering:QuestionAnswering"
    ),
    "token_labelling": (
        "trainers.finetuning.kinds.token_labelling:TokenLabelling"
    ),
    "role_labelling": "trainers.finetuning.kinds.role_labelling:RoleLabelling",
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
