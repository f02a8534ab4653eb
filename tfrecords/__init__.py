"""Raw text in, records on disk out; records in, batches of a run out.

- `layout` spells every name that is on disk or in a batch, and says where a
  row lies in a shard; `keyed_order` says which row stands where in a run.
- `text` turns files into documents and knows nothing of tokens; `build` turns
  documents into rows of token ids, over many processes.
- `storage` writes rows so that a file is there whole or not at all, and finds
  any row by arithmetic; `masking` hides tokens of rows that it is handed.
- `batches` puts these together as batches; `labelled` makes those of
  fine-tuning, straight from labelled files.

Nothing here draws from a random generator that keeps a state: an order or a
mask is a pure function of (seed, epoch, row). `tfrecords` knows nothing of
models and trainers; from `tfbert` it takes the tokenizer, the names of what a
model reads, the error that a user's mistake raises and the way files are
written.
"""
