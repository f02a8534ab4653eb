"""The page about one run."""

from trainers.files.run_folder import RunFolder
from trainers.reports import curves, errors, figures, measures, page, tables


def render(run: RunFolder) -> str:
    """The HTML of the report of one run."""
    sections = [
        ("figures", "", page.cards(figures.headline(run))),
        ("evaluation", "Evaluation", tables.evaluations(run)),
        (
            "errors",
            "Errors",
            errors.section(run.path, run.evaluations, run.about),
        ),
        ("curves", "Curves", curves.section(run)),
        ("events", "Events", tables.events(run)),
        ("data", "Data", tables.data_account(run)),
        ("settings", "Settings", tables.settings(run)),
        ("environment", "Environment", tables.environment(run)),
        ("checkpoints", "Checkpoints", tables.checkpoints(run)),
    ]
    sections = [section for section in sections if section[2]]
    title = f"Run {run.path.resolve().name}"
    return page.page(title, subtitle(run), sections)


def subtitle(run: RunFolder) -> str:
    """What is learnt, from what, and when it was last heard of."""
    text = measures.title_of_kind(figures.kind_of(run)) or "Run"
    if run.about.get("records"):
        text += f" on {run.about['records']}"
    written = max((row.get("time") or 0 for row in run.metrics), default=0)
    if written:
        text += f" \u00b7 last logged {tables.moment(written)}"
    return text
