"""`tfbert doctor`: looks at machine, cluster, data and settings first."""

import sys
from pathlib import Path

from tfbert.errors import UserError
from trainers import command
from trainers.checks.findings import Finding, Findings
from trainers.files import exit_status
from trainers.files.console import console
from trainers.files.yaml_files import read_yaml
from trainers.settings.sections import parse_settings

# Whose settings can be looked at.
VERBS = ("pretrain", "finetune")
# Documented in docs/architecture.md: a mistake in settings or files.
# A config with any of these is one of fine-tuning.
FINETUNING_DATA = ("train", "validation", "test", "label_column", "tokenizer")


def build_parser() -> command.Parser:
    """The parser of `tfbert doctor`."""
    parser = command.make_parser(
        "doctor",
        "Checks versions, devices, cluster, ports, disk and memory, and of a "
        "training its settings, data, vocabulary, weights and run folder: put "
        "`doctor` before the command, as in `tfbert doctor finetune "
        "--data.train train.tsv ...`, or name its config file. Trains and "
        "writes nothing. The exit status is 0 if nothing is wrong and 2 if "
        "mistakes were found.",
        "tfbert doctor pretrain --config "
        "trainers/configs/pretrain_mini_cpu.yaml --data.records records_32",
    )
    parser.add_argument(
        "--config",
        type=str | None,
        default=None,
        help="YAML file of a pretraining or fine-tuning run",
    )
    parser.add_argument(
        "settings",
        nargs="*",
        help="pretrain or finetune, with its own options; or NAME=VALUE, "
        "settings in the place of those of the file, such as "
        "optimization.batch_size=64",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb.

    Raises:
      SystemExit: with status 2, if mistakes were found.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] and argv[0] in VERBS:
        findings = examine_command(argv[0], argv[1:], _show)
    else:
        options = build_parser().parse_args(argv)
        findings = examine(options.config, options.settings, _show)
    count = len(findings.mistakes)
    if count:
        plural = "" if count == 1 else "s"
        console.print(f"{count} mistake{plural} found.")
        raise SystemExit(exit_status.USER_ERROR)
    console.print("No mistakes found.")


def examine(
    config: str | None = None, changes: list[str] = (), report=lambda _: None
) -> Findings:
    """Looks at the machine and, if there is one, at a config.

    Args:
      config: path of a YAML file.
      changes: settings that replace the file's, "NAME=VALUE".
      report: called with each Finding as it is made.

    Returns:
      all findings.
    """
    if config is None and not changes:
        return _look(report)
    return _look(report, read, config, changes)


def examine_command(
    verb: str, argv: list[str], report=lambda _: None
) -> Findings:
    """Looks at the machine, and at what a command would train.

    Args:
      verb: pretrain or finetune.
      argv: the command's options.
      report: called with each Finding as it is made.

    Returns:
      all findings.
    """
    if {"-h", "--help"} & set(argv):
        _parse(verb, argv)
    return _look(report, _parse, verb, argv)


def _look(report, read_settings=None, *arguments) -> Findings:
    # Imported here: --help should not wait for TensorFlow.
    from trainers.checks import machine

    findings = Findings(report)
    machine.check_versions(findings)
    settings = None
    if read_settings is not None:
        settings = findings.attempt("settings", read_settings, *arguments)
    runtime = getattr(settings, "runtime", None)
    machine.check_devices(findings, runtime)
    cluster = machine.check_cluster(findings, runtime)
    if settings is None:
        return findings
    if hasattr(settings.data, "records"):
        from trainers.checks.pretraining import (
            check_pretraining as check,
        )
    else:
        from trainers.checks.finetuning import (
            check_finetuning as check,
        )
    check(findings, settings, cluster)
    return findings


def read(config: str | None, changes: list[str] = ()):
    """The settings of a run: PretrainingSettings or FinetuningSettings.

    Args:
      config: path of a YAML file.
      changes: settings that replace the file's, "NAME=VALUE".

    Raises:
      UserError: the file cannot be read, or a setting is wrong.
    """
    argv = ["--config", config] if config else []
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise UserError(
                f"wanted NAME=VALUE, such as optimization.steps=100, got "
                f"{change!r}"
            )
        argv += [f"--{name}", value]
    return _parse("finetune" if _is_finetuning(config) else "pretrain", argv)


def _parse(name: str, argv: list[str]):
    if name == "finetune":
        from trainers import finetune as verb
        from trainers.finetuning.settings import FinetuningSettings as Settings
    else:
        from trainers import pretrain as verb
        from trainers.pretraining.settings import (
            PretrainingSettings as Settings,
        )
    return parse_settings(verb.build_parser(), Settings, argv)


def _is_finetuning(config: str | None) -> bool:
    if config is None:
        return False
    if not Path(config).exists():
        raise UserError(
            f"wanted a config file, got {config}: there is no such file"
        )
    content = read_yaml(Path(config))
    if not isinstance(content, dict):
        raise UserError(
            f"wanted sections model, data, optimization and runtime in "
            f"{config}, got {type(content).__name__}"
        )
    data = content.get("data") or {}
    return "task" in content or any(name in data for name in FINETUNING_DATA)


def _show(finding: Finding) -> None:
    console.print(str(finding), markup=False)


if __name__ == "__main__":
    sys.exit(command.script(main))
