"""The page of a report: HTML that needs no other file and no script."""

from collections.abc import Mapping, Sequence
from html import escape


class Html(str):
    """Text that is HTML already; all other text is escaped."""


class Number(str):
    """A number that is written already (with a unit, with few digits)."""


STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2330; --muted: #5d6877;
  --grid: #dde2e8; --train: #1f6feb; --validation: #d9480f; --heat: #1f6feb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11151b; --card: #1a2029; --ink: #e8ecf1; --muted: #9aa6b5;
    --grid: #323c49; --train: #6cb0ff; --validation: #ff9b62;
    --heat: #2f7fe6;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Liberation Sans", sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 0 0 8px; }
p { margin: 6px 0; }
.muted, figcaption, caption { color: var(--muted); font-size: 13.5px; }
.columns { columns: 2; column-gap: 14px; }
.columns + .card { margin-top: 14px; }
.columns > * { break-inside: avoid; margin-bottom: 14px; }
@media (max-width: 760px) { .columns { columns: 1; } }
.card, figure {
  background: var(--card); border: 1px solid var(--grid);
  border-radius: 10px; padding: 14px 16px; min-width: 0;
}
.figures {
  display: grid; gap: 12px; margin-top: 20px;
  grid-template-columns: repeat(auto-fill, minmax(220px, 1fr));
}
.figures .value { font-size: 25px; font-weight: 650; line-height: 1.25; }
.figures .label { font-size: 13.5px; color: var(--muted); }
.figures .note { font-size: 12.5px; color: var(--muted); }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(2, 1fr); }
.grid .wide { grid-column: 1 / -1; }
@media (max-width: 760px) { .grid { grid-template-columns: 1fr; } }
figure { padding: 10px 12px 8px; margin: 0; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
nav a { color: var(--train); margin-right: 14px; text-decoration: none; }
nav { margin-top: 14px; font-size: 14px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
caption { text-align: left; padding-bottom: 6px; }
th, td {
  text-align: left; vertical-align: top; padding: 4px 18px 4px 0;
  border-bottom: 1px solid var(--grid); overflow-wrap: anywhere;
}
tr:last-child > * { border-bottom: 0; }
th { font-weight: 500; color: var(--muted); }
table.facts th { width: 1%; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
thead th, td.bars, tr:has(td.bars) td { white-space: nowrap; }
td.number, th.number {
  text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap;
}
td.bars { width: 55%; vertical-align: middle; }
.bar { height: 10px; border-radius: 3px; background: var(--train); }
table.confusion { width: auto; }
table.confusion td, table.confusion th {
  padding: 6px 12px; border: 1px solid var(--grid); text-align: center;
}
table.confusion tbody th { text-align: right; width: auto; }
code { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas,
  "Liberation Mono", monospace; overflow-wrap: anywhere; }
@media print {
  body { background: #fff; } .card, figure { break-inside: avoid; }
}
"""


def page(title: str, subtitle: str, sections: Sequence[tuple]) -> str:
    """The whole document.

    Args:
      title: of the page.
      subtitle: a line under it.
      sections: (id, heading, HTML) each; the first needs no heading.
    """
    links = "".join(
        f'<a href="#{escape(name)}">{escape(heading)}</a>'
        for name, heading, _ in sections
        if heading
    )
    body = "".join(
        f'<section id="{escape(name)}">'
        + (f"<h2>{escape(heading)}</h2>" if heading else "")
        + f"{content}</section>\n"
        for name, heading, content in sections
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<header><h1>{escape(title)}</h1>\n"
        f'<p class="muted">{text(subtitle)}</p>\n<nav>{links}</nav></header>\n'
        f"{body}</main>\n</body>\n</html>\n"
    )


def text(value) -> str:
    """HTML of a value."""
    if isinstance(value, Html):
        return value
    if value is None:
        return '<span class="muted">none</span>'
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(str(value))


def code(value) -> Html:
    """A command, a path or a name as it is typed."""
    return Html(f"<code>{escape(str(value))}</code>")


def cards(figures) -> str:
    """The headline figures (`trainers.reports.figures.Figure`)."""
    return (
        '<div class="figures">'
        + "".join(
            f'<div class="card"><div class="label">{escape(figure.label)}</div>'
            f'<div class="value">{escape(figure.value)}</div>'
            f'<div class="note">{escape(figure.note)}</div></div>'
            for figure in figures
        )
        + "</div>"
    )


def facts(rows: Mapping, title: str = "") -> str:
    """A card with a table of names and values."""
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    body = "".join(
        f"<tr><th scope=row>{text(name)}</th><td>{text(value)}</td></tr>"
        for name, value in rows.items()
    )
    return (
        f'<div class="card scroll">{heading}<table class="facts"><tbody>'
        f"{body}</tbody></table></div>"
    )


def table(head: Sequence[str], rows: Sequence[Sequence], caption="") -> str:
    """A card with a table; columns of numbers are set right."""
    numeric = [
        bool(rows)
        and all(isinstance(row[i], int | Number | None) for row in rows)
        for i in range(len(head))
    ]

    def line(cells, tag):
        number = [" class=number" if is_number else "" for is_number in numeric]
        return "".join(
            f"<{tag}{number[i]}>{text(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return (
        '<div class="card scroll"><table>'
        + (f"<caption>{text(caption)}</caption>" if caption else "")
        + f"<thead><tr>{line(head, 'th')}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def bars(rows: Sequence[tuple[str, int]], head: tuple, caption="") -> str:
    """A card with counts by name, and a bar for each count."""
    most = max((count for _, count in rows), default=0) or 1
    body = "".join(
        f"<tr><td>{text(name)}</td><td class=number>{count:,}</td>"
        '<td class="bars"><div class="bar" '
        f'style="width:{100 * count / most:.1f}%"></div></td></tr>'
        for name, count in rows
    )
    return (
        f'<div class="card scroll"><table><caption>{text(caption)}</caption>'
        f"<thead><tr><th>{text(head[0])}</th><th class=number>"
        f"{text(head[1])}</th><th></th></tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A confusion matrix; the shade is the share of the row."""
    head = "".join(
        f"<th scope=col>{escape(str(label))}</th>" for label in labels
    )
    body = ""
    for label, row in zip(labels, counts, strict=True):
        total = sum(row)
        cells = "".join(
            '<td style="background:color-mix(in srgb, var(--heat) '
            f'{75 * count / total if total else 0:.0f}%, transparent)" '
            f'title="{count / total if total else 0:.1%} of the row">'
            f"{count:,}</td>"
            for count in row
        )
        body += f"<tr><th scope=row>{escape(str(label))}</th>{cells}</tr>"
    return (
        '<div class="card scroll"><table class="confusion">'
        "<caption>Confusion matrix: a row is a true label, a column a "
        "predicted one; the shade is the share of the row.</caption>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )
