"""A Keras encoder or pretraining task from a PortableModel."""

from tfbert.converters.own import with_pooler
from tfbert.encoder import BertEncoder
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.tasks.task import Task
from tfbert.weights.names import part_of
from tfbert.weights.portable_model import PortableModel
from tfbert.weights.variables import assign_tensors, named_variables

PREFIX = "encoder/"


def make_encoder(model: PortableModel, dtype=None) -> BertEncoder:
    """Builds the encoder and sets its weights.

    Args:
      model: from any source.
      dtype: Keras dtype or policy.
    """
    encoder = BertEncoder(model.config, dtype=dtype)
    set_encoder(encoder, model)
    return encoder


def set_encoder(encoder: BertEncoder, model: PortableModel) -> None:
    """Sets an encoder's weights; a pooler that is missing gets initial ones.

    Raises:
      UserError: the encoder has another shape; nothing was changed.
    """
    tensors = {
        name.removeprefix(PREFIX): value
        for name, value in with_pooler(model).tensors.items()
        if name.startswith(PREFIX)
    }
    assign_tensors(named_variables(encoder), tensors, model.source)


def set_task(task: Task, model: PortableModel) -> list[str]:
    """Sets a task's encoder, and its pretraining heads that the model has.

    Args:
      task: of the same shape.
      model: the weights.

    Returns:
      The parts that were set: "encoder", "masked_lm", "next_sentence".

    Raises:
      UserError: the encoder has another shape; nothing was changed.
    """
    set_encoder(task.encoder, model)
    done = ["encoder"]
    for part in ("masked_lm", "next_sentence"):
        head = getattr(task, part, None)
        if head is None or part not in model.parts:
            continue
        tensors = {
            name.removeprefix(f"{part}/"): value
            for name, value in model.tensors.items()
            if part_of(name) == part
        }
        assign_tensors(named_variables(head), tensors, model.source)
        done.append(part)
    return done


def make_pretraining_task(model: PortableModel, dtype=None) -> PretrainingTask:
    """Builds the pretraining task; a next-sentence head if the model has one.

    Args:
      model: with a masked-LM head.
      dtype: Keras dtype or policy.
    """
    task = PretrainingTask(
        model.config, "next_sentence" in model.parts, dtype=dtype
    )
    assign_tensors(
        named_variables(task), with_pooler(model).tensors, model.source
    )
    return task
