"""`tfbert VERB ...`: finds the verb's module and runs its `main`."""

import difflib
import importlib
import sys

from tfbert.errors import UserError
from trainers import command

# Verb -> (module, what it does). A module is imported when its verb runs.
VERBS = {
    "vocab": ("trainers.vocab", "learn a WordPiece vocabulary from text"),
    "records": ("trainers.records", "turn text into training records"),
    "preview": ("trainers.preview", "look at masked batches of records"),
    "pretrain": ("trainers.pretrain", "pretrain an encoder on records"),
    "finetune": ("trainers.finetune", "fine-tune on labelled data"),
    "evaluate": ("trainers.evaluate", "measure a fine-tuned run on a file"),
    "export": ("trainers.export", "write a SavedModel that takes raw text"),
    "convert": ("trainers.convert", "weights from and for other libraries"),
    "predict": ("trainers.predict", "label text with an export"),
    "report": ("trainers.report", "write a run's HTML report"),
    "launch": ("trainers.launch", "run a training as workers on this host"),
    "doctor": ("trainers.doctor", "check machine, data and settings first"),
    "demo": ("trainers.demo", "the whole way on the shipped sample"),
}


def usage() -> str:
    """The text of `tfbert --help`."""
    width = max(map(len, VERBS))
    lines = [f"  {verb:{width}}  {text}" for verb, (_, text) in VERBS.items()]
    return "\n".join(
        [
            "usage: tfbert VERB [options]",
            "",
            "Raw text in, a served BERT out.",
            "",
            *lines,
            "",
            "`tfbert VERB --help` shows a verb's options, with an example.",
        ]
    )


def dispatch(argv: list[str] | None = None) -> None:
    """Runs the verb that `argv` (default: the command line) names.

    Raises:
      UserError: there is no such verb.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if argv[0] == "--version":
        import tfbert

        print(f"tfbert {tfbert.__version__}")
        return
    verb, *rest = argv
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"there is no verb {verb!r}.{hint} `tfbert --help` lists the verbs."
        )
    importlib.import_module(VERBS[verb][0]).main(rest)


def main() -> int:
    """The console script."""
    return command.script(dispatch)


if __name__ == "__main__":
    sys.exit(main())
