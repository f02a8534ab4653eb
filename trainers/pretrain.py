"""`tfbert pretrain`: masked-LM pretraining of a BERT encoder on records."""

import sys
from collections.abc import Callable

from trainers import command
from trainers.pretraining.settings import PretrainingSettings
from trainers.settings.ranges import check_ranges
from trainers.settings.sections import add_settings, parse_settings


def build_parser() -> command.Parser:
    """The parser of `tfbert pretrain`."""
    parser = command.make_parser(
        "pretrain",
        "Pretrains a BERT encoder on records, on one device, all devices of "
        "a host, several hosts (TF_CONFIG) or a TPU. The same command again "
        "resumes from the newest checkpoint.",
        "tfbert pretrain --config trainers/configs/pretrain_mini_cpu.yaml "
        "--data.records records_32 --runtime.run_dir runs/mini_32",
        # Records are copied here before they are read.
        may_be_addresses=(
            "data.records",
            "data.mixture",
            "data.held_out",
            "runtime.tpu",
        ),
    )
    add_settings(parser, PretrainingSettings)
    return parser


def main(
    argv: list[str] | None = None, task_class: Callable | None = None
) -> None:
    """Runs the verb, on another task if one is given.

    Args:
      argv: the options; None: those of the command line.
      task_class: (config, dtype=, seed=) -> Task that learns from the
        batches of pretraining; None: PretrainingTask.
    """
    settings = parse_settings(build_parser(), PretrainingSettings, argv)
    check_ranges(settings)
    # Imported here: --help and a misspelt setting should not wait for
    # TensorFlow's start-up.
    from trainers.distributed.strategies import distribution_of

    with (
        command.stopped_by_signals(),
        distribution_of(settings) as distribution,
    ):
        from trainers.pretraining import training
        from trainers.run.outcome import OwnParts

        training.train(settings, distribution, OwnParts(task_class))


if __name__ == "__main__":
    sys.exit(command.script(main))
