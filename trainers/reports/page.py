"""The page of a report: HTML that needs no other file and no script."""

from collections.abc import Mapping, Sequence
from html import escape


class Html(str):
    """Text that is HTML already; all other text is escaped."""


class Number(str):
    """A number that is written already (with a unit, with few digits)."""


# Colours: Okabe and Ito 2008, "Color Universal Design", made darker on white
# and lighter on black where their contrast would be below 3. Curves differ in
# dashes and markers as well (plots.py), marks in words by their underline.
STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2330; --muted: #5d6877;
  --grid: #dde2e8; --heat: #0072b2;
  --curve-1: #0072b2; --curve-2: #d55e00; --curve-3: #00855f;
  --curve-4: #b3558f; --curve-5: #a87400; --curve-6: #1b2330;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11151b; --card: #1a2029; --ink: #e8ecf1; --muted: #9aa6b5;
    --grid: #323c49; --heat: #1f86c8;
    --curve-1: #56b4e9; --curve-2: #f08a43; --curve-3: #2cbf94;
    --curve-4: #dd92ba; --curve-5: #e69f00; --curve-6: #e8ecf1;
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
h3 { font-size: 15px; margin: 0 0 8px; overflow-wrap: anywhere; }
p { margin: 6px 0; overflow-wrap: anywhere; }
.muted, figcaption, caption { color: var(--muted); font-size: 13.5px; }
h3 .muted { font-weight: 400; }
.columns { columns: 2; column-gap: 14px; }
.columns > * { break-inside: avoid; margin-bottom: 14px; }
.card, figure {
  background: var(--card); border: 1px solid var(--grid);
  border-radius: 10px; padding: 14px 16px; min-width: 0;
}
.card + .card, .columns + .card, .card + .grid, .grid + .card,
  .grid + .grid { margin-top: 14px; }
.figures {
  display: grid; gap: 12px; margin-top: 20px;
  grid-template-columns: repeat(auto-fill, minmax(220px, 1fr));
}
.figures .card + .card, .grid > .card + .card, .columns > .card + .card {
  margin-top: 0; }
.figures .value { font-size: 25px; font-weight: 650; line-height: 1.25;
  overflow-wrap: anywhere; }
.figures .label { font-size: 13.5px; color: var(--muted); }
.figures .note { font-size: 12.5px; color: var(--muted); }
.figures .main { border-color: var(--curve-1); border-width: 2px; }
.grid { display: grid; gap: 14px;
  grid-template-columns: repeat(2, minmax(0, 1fr)); align-items: start; }
.grid .wide { grid-column: 1 / -1; }
figure { padding: 10px 12px 8px; margin: 0; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
.on-phones { display: none; }
nav { display: flex; flex-wrap: wrap; gap: 2px 14px; margin-top: 14px;
  font-size: 14px; }
a { color: var(--curve-1); }
nav a { text-decoration: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
caption { text-align: left; padding-bottom: 6px; }
th, td {
  text-align: left; vertical-align: top; padding: 4px 18px 4px 0;
  border-bottom: 1px solid var(--grid);
}
table.facts td { overflow-wrap: anywhere; }
tr:last-child > * { border-bottom: 0; }
th { font-weight: 500; color: var(--muted); }
table.facts th { width: 1%; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
thead th { vertical-align: bottom; }
td.bars, tr:has(td.bars) td { white-space: nowrap; }
td.number, th.number {
  text-align: right; font-variant-numeric: tabular-nums;
}
td.number { white-space: nowrap; }
td.bars { width: 55%; vertical-align: middle; }
.bar { height: 10px; border-radius: 3px; background: var(--curve-1); }
tr.best > * { font-weight: 650; color: var(--ink); }
table.runs tbody th { white-space: nowrap; }
table.runs td, table.runs thead th { min-width: 110px; }
table.confusion { width: auto; }
table.confusion td, table.confusion th {
  padding: 6px 12px; border: 1px solid var(--grid); text-align: center;
}
table.confusion tbody th { text-align: right; width: auto; }
code { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas,
  "Liberation Mono", monospace; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--muted); font-size: 14px; }
details[open] > summary { margin-bottom: 8px; }
.mistake { border-top: 1px solid var(--grid); padding: 9px 0;
  overflow-wrap: anywhere; }
.mistake .facts { display: flex; flex-wrap: wrap; gap: 2px 16px;
  margin-bottom: 3px; }
.mistake .facts b { font-weight: 600; }
.mistake .text { max-width: 85ch; font-size: 14px; }
.mistake .said { display: grid; gap: 0 10px; max-width: 95ch;
  grid-template-columns: 5.2em minmax(0, 1fr); line-height: 1.9;
  font-size: 14px; }
.wanted, .got, .both, .predicate {
  background: none; color: inherit; padding: 0 2px; border-radius: 3px;
  border-bottom: 2px solid var(--muted);
}
.wanted { border-bottom: 3px solid var(--curve-1);
  background: color-mix(in srgb, var(--curve-1) 16%, transparent); }
.got { border-bottom: 3px dashed var(--curve-2);
  background: color-mix(in srgb, var(--curve-2) 16%, transparent); }
.wanted.got { border-bottom: 3px double var(--ink); background: none; }
.predicate { border: 1px solid var(--ink); border-radius: 4px; }
.kind { font-size: 11px; color: var(--muted); margin-left: 3px;
  white-space: nowrap; }
@media (max-width: 760px) {
  main { padding: 20px 12px 40px; }
  .columns { columns: 1; }
  .grid { grid-template-columns: minmax(0, 1fr); }
  .figures { gap: 8px;
    grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .figures .card { padding: 10px 12px; }
  .figures .value { font-size: 20px; }
  .on-screens { display: none; }
  .on-phones { display: block; }
  td.bars { width: 30%; }
  table.facts th { width: 42%; white-space: normal; }
  th, td { padding-right: 12px; }
  table.runs tbody th { white-space: normal; min-width: 110px; }
  .mistake .said { grid-template-columns: minmax(0, 1fr); line-height: 1.7; }
}
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
            f'<div class="card{" main" if figure.main else ""}">'
            f'<div class="label">{escape(figure.label)}</div>'
            f'<div class="value">{escape(figure.value)}</div>'
            f'<div class="note">{escape(figure.note)}</div></div>'
            for figure in figures
        )
        + "</div>"
    )


def folded(summary: str, content: str) -> str:
    """Content that a reader opens with a click."""
    return (
        f'<details class="card"><summary>{escape(summary)}</summary>'
        f"{content}</details>"
    )


def facts(rows: Mapping, title: str = "") -> str:
    """A card with a table of names and values."""
    heading = f"<h3>{text(title)}</h3>" if title else ""
    body = "".join(
        f"<tr><th scope=row>{text(name)}</th><td>{text(value)}</td></tr>"
        for name, value in rows.items()
    )
    return (
        f'<div class="card scroll">{heading}<table class="facts"><tbody>'
        f"{body}</tbody></table></div>"
    )


def table(
    head: Sequence[str],
    rows: Sequence[Sequence],
    caption: str = "",
    best: int | None = None,
) -> str:
    """A card with a table; columns of numbers are set right.

    Args:
      head: names of the columns.
      rows: their cells.
      caption: a line above.
      best: the row that is set bold.
    """
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

    body = "".join(
        f"<tr{' class=best' if place == best else ''}>{line(row, 'td')}</tr>"
        for place, row in enumerate(rows)
    )
    return (
        '<div class="card scroll"><table>'
        + (f"<caption>{text(caption)}</caption>" if caption else "")
        + f"<thead><tr>{line(head, 'th')}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def side_by_side(
    names: Sequence[str], rows: Sequence[tuple[str, Sequence]]
) -> str:
    """A card with a column for each run.

    Args:
      names: of the runs.
      rows: what is told, and its value for each run.
    """
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><th scope=row>{text(name)}</th>"
        + "".join(f"<td>{text(value)}</td>" for value in values)
        + "</tr>"
        for name, values in rows
    )
    return (
        '<div class="card scroll"><table class="runs"><thead><tr><th></th>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
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
