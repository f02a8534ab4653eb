"""What people run: one module for each verb of the `tfbert` command.

Separation of concerns: `trainers` owns settings, the command line, the
distribution strategy, the training loop, checkpoints and reports. It knows
nothing of layers (`tfbert`) or of files of records (`tfrecords`) beyond
their public functions.
"""
