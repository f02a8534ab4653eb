"""Labelled data -> batches, one file for each kind of task.

Separation of concerns: `tables` reads files of named columns and knows no
task; each task's file (`classification`) turns rows into arrays of ids and
labels; `batches` turns arrays into the batches of a replica and knows no
task either.
"""
