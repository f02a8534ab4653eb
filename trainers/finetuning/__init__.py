"""Fine-tuning: what all kinds of tasks share, and one file for each kind.

Separation of concerns: `kind` says what a kind of task is (data, task,
measures, serving); `kinds` lists them by name; `settings`, `data`, `model`
and `run` know no kind by name.
"""
