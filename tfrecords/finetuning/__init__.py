"""Labelled data -> batches, one file for each kind of task.

Separation of concerns: `tables` reads files of named columns and knows no
task, `order` says which example stands at which position of a run, and each
task's file (`classification`) turns rows into examples and examples into
batches with the keys that `tfbert.tasks` reads.
"""
