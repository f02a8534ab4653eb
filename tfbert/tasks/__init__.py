"""Batches in, outputs and sums of losses out: one task per file (`task`)."""

from tfbert.tasks.classification import ClassificationTask
from tfbert.tasks.embedding import EmbeddingTask
from tfbert.tasks.multi_label import MultiLabelTask
from tfbert.tasks.multiple_choice import MultipleChoiceTask
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.tasks.question_answering import QuestionAnsweringTask
from tfbert.tasks.regression import RegressionTask
from tfbert.tasks.task import Task
from tfbert.tasks.token_labelling import TokenLabellingTask

__all__ = [
    "ClassificationTask",
    "EmbeddingTask",
    "MultiLabelTask",
    "MultipleChoiceTask",
    "PretrainingTask",
    "QuestionAnsweringTask",
    "RegressionTask",
    "Task",
    "TokenLabellingTask",
]
