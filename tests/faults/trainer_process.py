"""What a forked process of the fault battery runs: a verb, and its faults.

Run by tests/faults/conftest.py with JOB in its globals:
  verb       module with main(argv)
  argv       the command line
  log        file that gets stdout and stderr
  env        additions to the environment
  faults     {name of a function below or of worker_faults.py: arguments}
Faults are set before the verb starts. Signals are real ones.
"""

import ctypes
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time

from trainers.files.console import console

MARK = 10**6
JOB = globals().get("JOB", {})


def die_at(call, target, when):
    """SIGKILL before or after a call of the os module on a path."""
    original = getattr(os, call)

    def replaced(*arguments, **options):
        hit = any(target in str(argument) for argument in arguments)
        if hit and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, call, replaced)


def refuse(call, target, number, times):
    """Calls of the os module on a path fail, so many times."""
    original = getattr(os, call)
    left = [times]

    def replaced(*arguments, **options):
        if left[0] and any(target in str(argument) for argument in arguments):
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return original(*arguments, **options)

    setattr(os, call, replaced)


def saved_often():
    """Counts of words are saved after every few texts."""
    from tfbert.vocabulary import saved_counts, word_counts

    word_counts._BATCH_BYTES = 2000
    saved_counts.SECONDS, saved_counts._SHARE = 0.0, float("inf")


def die_at_count(number, when):
    """SIGKILL before, in ("written") or after the n-th saving of counts."""
    from tfbert.vocabulary.saved_counts import SavedCounts

    original, left = SavedCounts._save, [number]

    def save(self):
        left[0] -= 1
        if not left[0] and when == "written":
            die_at("replace", "counts", "before")
        if left[0] or when != "before":
            original(self)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    SavedCounts._save = save


def pause(seconds):
    """Every step takes longer, so that signals come within one."""
    from trainers.checkpoints.saving import StopAt

    original = StopAt.on_train_batch_end

    def slow(self, batch, logs=None):
        time.sleep(seconds)
        original(self, batch, logs)

    StopAt.on_train_batch_end = slow


def slow_save(seconds):
    """Writing a checkpoint takes longer."""
    from trainers.checkpoints import files

    original = files.write_tensors

    def slow(*arguments):
        time.sleep(seconds)
        return original(*arguments)

    files.write_tensors = slow


def slow_evaluation(seconds, note):
    """Evaluation takes longer, and a file says when it has begun."""
    from trainers.step.training_model import TrainingModel

    original = TrainingModel.evaluate

    def slow(self, *arguments, **options):
        test = self.make_test_function()

        def step(iterator):
            time.sleep(seconds)
            return test(iterator)

        self.test_function = step
        if self.step:
            with open(note, "w") as stream:
                stream.write("evaluating")
        return original(self, *arguments, **options)

    TrainingModel.evaluate = slow


def signal_self(number, step, again=False):
    """The signal comes from within a step, exactly there."""
    from trainers.checkpoints.saving import StopAt

    original = StopAt.on_train_batch_end

    def told(self, batch, logs=None):
        if self.model.step == step:
            for _ in range(2 if again else 1):
                os.kill(os.getpid(), number)
        original(self, batch, logs)

    StopAt.on_train_batch_end = told


def signal_in_trace(number):
    """The signal comes while the first step is traced."""
    from trainers.step.training_model import TrainingModel

    original = TrainingModel.train_step

    def traced(self, data):
        os.kill(os.getpid(), number)
        return original(self, data)

    TrainingModel.train_step = traced


def small_disk(path, megabytes, keep, ballast=0, free_at=None):
    """`path` becomes a small disk of its own; at the end its files are copied.

    Args:
      path: an existing folder.
      megabytes: size of the disk.
      keep: folder that gets a copy of the files at the end.
      ballast: megabytes that are taken up at the start.
      free_at: step at which the ballast is removed.
    """
    _mount(path, f"size={megabytes}m", b"tmpfs", 0)
    filler = os.path.join(path, "ballast")
    if ballast:
        with open(filler, "wb") as stream:
            stream.write(bytes(ballast << 20))
    AT_END.append(lambda: shutil.copytree(path, keep))
    if free_at is not None:
        from trainers.checkpoints.saving import StopAt

        original = StopAt.on_train_batch_end

        def freeing(self, batch, logs=None):
            if self.model.step == free_at:
                os.unlink(filler)
            original(self, batch, logs)

        StopAt.on_train_batch_end = freeing


def read_only(path):
    """`path` becomes a folder that nobody can write."""
    bind, remount, only = 4096, 32, 1
    _mount(path, None, None, bind, source=path)
    _mount(path, None, None, bind | remount | only, source=path)


def output(kind):
    """What is printed is lost: a full disk, a reader that has gone, closed."""
    sys.stdout.flush()
    if kind == "closed":
        os.close(1)
        sys.stdout = command_output(None)
    elif kind == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    else:
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(writer)
        os.close(reader)


def command_output(stream):
    """The console's stream, in the place of the forked program's."""

    console.file = stream
    return stream


def _mount(path, options, kind, flags, source="none"):
    libc = ctypes.CDLL(None, use_errno=True)
    namespace, private = 0x20000, 1 << 18 | 1 << 14
    failed = libc.unshare(namespace)
    failed = failed or libc.mount(b"none", b"/", None, private, None)
    failed = failed or libc.mount(
        source.encode(),
        str(path).encode(),
        kind,
        flags,
        options.encode() if options else None,
    )
    if failed:
        print("cannot mount:", os.strerror(ctypes.get_errno()))
        os._exit(99)


def limit(name, value):
    """Sets a limit of the process, as `ulimit` does."""
    number = getattr(resource, name)
    resource.setrlimit(number, (value, resource.getrlimit(number)[1]))


def limit_memory_in_training(megabytes):
    """From the first step on, only so much more memory can be had."""
    from trainers.checkpoints.saving import StopAt

    def limit_now(self, logs=None):
        with open("/proc/self/statm") as stream:
            used = int(stream.read().split()[0]) * resource.getpagesize()
        limit("RLIMIT_AS", used + (megabytes << 20))

    StopAt.on_train_begin = limit_now


def clock(seconds):
    """The clock goes wrong by so many seconds."""
    original = time.time
    time.time = lambda: original() + seconds


def bad_batches(batches, batch_size, factor, replica=None):
    """Gradients of these global batches are multiplied by `factor`.

    A mark in the epoch number says, behind the data's arithmetic, which rows
    these are; masks do not depend on it here.

    Args:
      batches: [first, last], both included.
      batch_size: rows of a global batch.
      factor: nan, or a number.
      replica: only on this replica.
    """
    import tensorflow as tf

    from tfrecords.batches import dataset
    from tfrecords.storage.reader import Records
    from trainers.step.training_model import TrainingModel

    rows_at, make_batch = Records.rows_at, dataset.make_batch
    accumulate = TrainingModel._accumulate

    def marked_rows(self, positions, seed):
        row_ids, epochs = rows_at(self, positions, seed)
        batch = positions[0] // batch_size
        if batches[0] <= batch <= batches[1]:
            epochs = epochs + MARK
        return row_ids, epochs

    def marked_batch(records, masking, row_ids, epochs, seed):
        bad = epochs[0] >= MARK
        made = make_batch(records, masking, row_ids, epochs % MARK, seed)
        if bad:
            made["segment_ids"][:, 0] = 1
        return made

    def marked_gradients(self, data, *arguments):
        gradients, sums = accumulate(self, data, *arguments)
        bad = tf.reduce_all(data["segment_ids"][:, 0] == 1)
        if replica is not None:
            context = tf.distribute.get_replica_context()
            bad &= tf.equal(context.replica_id_in_sync_group, replica)
        scale = tf.where(bad, float(factor), 1.0)
        return [g * tf.cast(scale, g.dtype) for g in gradients], sums

    Records.rows_at = marked_rows
    dataset.make_batch = marked_batch
    TrainingModel._accumulate = marked_gradients


def hang(worker, step):
    """A worker stays in a callback for ever."""
    from trainers.checkpoints.saving import StopAt

    original = StopAt.on_train_batch_end

    def stuck(self, batch, logs=None):
        index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
        if self.model.step == step and index == worker:
            threading.Event().wait()
        original(self, batch, logs)

    StopAt.on_train_batch_end = stuck


def changed_code():
    """This worker has another version of a file of ours."""
    from trainers.distributed import agreement

    original = agreement._code
    name = "code tfbert/encoder.py"
    agreement._code = lambda: {**original(), name: "changed"}


def note_writes(root, note):
    """Every change of a file below `root` is noted in the file `note`."""
    changing = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link")

    def watch(event, arguments):
        path = str(arguments[0]) if arguments else ""
        writes = event == "open" and (arguments[2] or 0) & (
            os.O_WRONLY | os.O_RDWR | os.O_CREAT
        )
        if path.startswith(root) and (writes or event in changing):
            with open(note, "a") as stream:
                stream.write(f"{event} {path}\n")

    sys.addaudithook(watch)


AT_END = []


def main():
    """Runs the job."""
    log = os.open(JOB["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    # The console of the forked program still writes to the old stream.
    from trainers import command

    command_output(sys.stdout)
    os.environ.update(JOB["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.append(os.path.dirname(__file__))
    import worker_faults

    known = {**vars(worker_faults), **globals()}
    for name, arguments in JOB["faults"].items():
        known[name](*arguments)
    status = 1
    try:
        verb = importlib.import_module(JOB["verb"])
        status = command.run(verb.main, JOB["argv"])
    except SystemExit as error:
        status = error.code or 0
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
        for action in AT_END:
            action()
        others = [t.name for t in threading.enumerate() if not t.daemon]
        if others != ["MainThread"]:
            print("still running:", others)
    sys.exit(status)


if JOB:
    main()
