"""Weights in and out: other people's formats <-> a PortableModel.

Separation of concerns:

- `model` is the thing between two formats; `names` turns tensors by a table.
- One file for each neighbour: its table, its config, its files.
- `sources` knows all of them: which format a folder is, read it, write it.
- `building` makes a Keras task of a model, `resizing` changes its tables.
- `peers` runs a neighbour's own code beside ours, where it is installed.
"""
