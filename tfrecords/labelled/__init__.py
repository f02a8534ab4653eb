"""Labelled files in, batches out: one file for each kind of task.

`files` reads tables, lines of JSON and columns and knows no task; each task's
file (`classification`) turns rows into arrays of ids and labels; `batches`
turns arrays into the batches of a replica and knows no task either.
"""
