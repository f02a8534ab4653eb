"""Weights in and out: other people's formats <-> a PortableModel.

Separation of concerns:

- A PortableModel is the thing between two formats (`tfbert.weights`).
- One file for each neighbour: its table, its config, its files.
- `sources` knows all of them: which format a folder is, read it, write it.
- `building` makes a Keras task of a model, `loading` an encoder.
- `peers` runs a neighbour's own code beside ours, where it is installed.
"""
