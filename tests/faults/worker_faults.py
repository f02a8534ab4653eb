"""Faults of one of several workers or replicas; see trainer_process.py."""

import os


def signal_in_agreement(number, step):
    """The signal comes while workers ask each other, after a step."""
    from trainers.run import stopping

    original = stopping._make_agreement

    def make(strategy):
        agree = original(strategy)
        steps = []

        def told(mine):
            steps.append(None)
            if len(steps) == step:
                os.kill(os.getpid(), number)
            return agree(mine)

        return told

    stopping._make_agreement = make


def signal_in_evaluation(number, step):
    """The signal comes within the evaluation after a step."""
    from trainers.run.stopping import StopOnSignal

    original = StopOnSignal.on_test_batch_end

    def told(self, batch, logs=None):
        if self.model.step == step and batch == 1:
            os.kill(os.getpid(), number)
        original(self, batch, logs)

    StopOnSignal.on_test_batch_end = told


def signal_in_save(number, name):
    """The signal comes while a checkpoint is written, or by who writes none."""
    from trainers.checkpoints.checkpoints import Checkpoints

    original = Checkpoints.save

    def told(self, model, step, state=None):
        if self.path(step).name == name:
            os.kill(os.getpid(), number)
        return original(self, model, step, state)

    Checkpoints.save = told


def signal_at_start(number):
    """The signal comes before the model is built."""
    from trainers.run import api

    original = api.make_model

    def told(*arguments, **options):
        os.kill(os.getpid(), number)
        return original(*arguments, **options)

    api.make_model = told


def other_weights():
    """This worker reads other weights under the same name."""
    from trainers.run import api

    original = api.initialise

    def other(model, *arguments):
        original(model, *arguments)
        variable = model.task.trainable_variables[0]
        variable.assign(variable + 1e-3)

    api.initialise = other


def hidden(name):
    """This worker does not see a file or folder of the run yet."""
    from pathlib import Path

    iterdir, is_file = Path.iterdir, Path.is_file
    Path.iterdir = lambda self: (p for p in iterdir(self) if p.name != name)
    Path.is_file = lambda self: self.name != name and is_file(self)


def wrong_sums():
    """Sums over replicas by an algorithm that leaves out an odd last one."""
    import tensorflow as tf

    wrong = tf.distribute.HierarchicalCopyAllReduce
    tf.distribute.ReductionToOneDevice = wrong
