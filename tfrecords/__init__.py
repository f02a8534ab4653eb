"""Raw text -> records -> batches.

Separation of concerns. `spec` spells every name that is on disk or in a
batch and says where a row lies in a shard. On the way in, `corpus` turns
files into documents and knows nothing of tokens, `rows` and `packing` turn
token ids into rows and know nothing of files, `shards` writes rows so that a
file is there whole or not at all, and `build` runs the three over many
processes. On the way out, `records` finds any row by arithmetic, `order`
says which row stands at which position of a run, `masking` hides tokens of
rows that it is handed, and `dataset` puts the three together as batches.

Nothing here draws from a random generator that keeps a state: an order or a
mask is a pure function of (seed, epoch, row). `tfrecords` knows nothing of
models and trainers; from `tfbert` it takes the tokenizer, the error that a
user's mistake raises and the way files are written.
"""
