"""Settings and data in, trained runs, reports and exports out.

One thin module for each verb of the `tfbert` command lies here; what they run
lies in folders, from what is imported most to what imports most:

- `files` and `settings`: what a run's folder holds, and what it is told.
- `step`: one update of the weights, the same on any number of replicas.
- `distributed`, `checkpoints`, `watching`: the workers, what a run goes on
  from, what people see of it.
- `run`: a run from its first step to its last.
- `planning`, `reports`: before a run, and after it.
- `pretraining`, `finetuning`: what is learnt.

`trainers` knows nothing of layers (`tfbert`) or of files of records
(`tfrecords`) beyond their public functions.
"""
