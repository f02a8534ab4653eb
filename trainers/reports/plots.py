"""The plots of a report, as SVG that takes its colours from the page.

Matplotlib draws with stand-in colours, which are then replaced by the page's
CSS variables: one drawing serves the light and the dark page. Text stays
text: small, searchable, and set in the page's font.
"""

import dataclasses
import io
import math
import re
from collections.abc import Sequence

import numpy as np

# Stand-in colours -> variables of the page (trainers/reports/page.py).
INK, MUTED, GRID = "#0a0b01", "#0a0b02", "#0a0b03"
CURVES = tuple(f"#0a0b0{i}" for i in range(4, 10))
TRAIN, VALIDATION = CURVES[:2]
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    **{colour: f"--curve-{i}" for i, colour in enumerate(CURVES, 1)},
}
# Dashes and marker of each colour: curves can be told apart without it, too.
LOOKS = dict(
    zip(
        CURVES,
        (
            ("solid", "o"),
            ((0, (5, 2)), "s"),
            ((0, (1, 1.2)), "^"),
            ((0, (6, 2, 1, 2)), "D"),
            ((0, (9, 3)), "v"),
            ((0, (3, 1, 1, 1, 1, 1)), "X"),
        ),
        strict=True,
    )
)
_MANY_POINTS = 60
# A curve needs no more points than a screen has columns.
MOST_POINTS = 800
# The moving average spans this share of a curve.
SMOOTHING_SHARE = 1 / 40
# Where a plot may be logarithmic, it is if its values span more than this.
LOGARITHMIC_FROM = 100.0
# Ticks at 1, 2, 2.5 and 5 times a power of ten.
ROUND_STEPS = (1, 2, 2.5, 5, 10)
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
# In inches; text is 10 points. A plot is as wide as half a page, or as a phone.
WIDE, NARROW = (10.0, 3.5), (5.2, 3.0)
# Of the legend, in points: a letter, and what is beside a name. Fonts of pages
# may be wider than those that matplotlib measures.
_LETTER, _HANDLE = 6.2, 46.0
_LONGEST_NAME = 45
_LEGEND_LINE = 0.22


@dataclasses.dataclass(frozen=True)
class Curve:
    """A series of one plot.

    Attributes:
      label: its name in the legend.
      x, y: the points; a y that is None or NaN is a gap.
      colour: one of CURVES, or MUTED for a line to compare with.
      smooth: draw a moving average, the points themselves faintly.
      marked: draw the points (few points that one wants to see).
      line: draw a line through the points.
      spread: how far each y may be off; drawn as bars.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: str = TRAIN
    smooth: bool = False
    marked: bool = False
    line: bool = True
    spread: Sequence[float] | None = None


@dataclasses.dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
      name: unique in the page; made of letters, digits and hyphens.
      title, x_label, y_label: text; labels with units.
      curves: what it shows; the later ones on top.
      size: WIDE or NARROW.
      percent: y is a share, written in per cent.
      percent_x: x is, too.
      from_zero: the y axis begins at 0.
      level: a value marked by a thin dashed line, or None.
      borders: places on the x axis marked by thin dotted lines.
      logarithmic: the y axis is, if the values span LOGARITHMIC_FROM.
      ticks: names of the places 0, 1, ... on the x axis; None: numbers.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    size: tuple[float, float] = NARROW
    percent: bool = False
    percent_x: bool = False
    from_zero: bool = False
    level: float | None = None
    borders: Sequence[float] = ()
    logarithmic: bool = False
    ticks: Sequence[str] | None = None


def slug(name: str) -> str:
    """A name as `Plot.name` may have it."""
    return "".join(c if c.isalnum() else "-" for c in name)


def draw_for_all(plot: Plot) -> str:
    """The plot, drawn again for phones where it is wide."""
    if plot.size != WIDE:
        return draw(plot)
    small = dataclasses.replace(plot, size=NARROW, name=f"{plot.name}-small")
    return (
        f'<div class="on-screens">{draw(plot)}</div>'
        f'<div class="on-phones">{draw(small)}</div>'
    )


def draw(plot: Plot) -> str:
    """Returns the plot as an inline `<svg>` element."""
    # Imported here and below: the help of a verb should not wait for it.
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings = {
        "svg.fonttype": "none",
        # A name with $ in it is no formula.
        "text.parse_math": False,
        "svg.hashsalt": plot.name,
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": GRID,
        "axes.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context(settings):
        columns, lines = _legend_shape(plot)
        width, height = plot.size
        figure = Figure(
            figsize=(width, height + lines * _LEGEND_LINE),
            layout="constrained",
        )
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for curve in plot.curves:
            _draw_curve(axes, curve)
        _set_axes(axes, plot)
        if lines:
            _draw_legend(figure, axes, columns)
        stream = io.StringIO()
        figure.savefig(
            stream, format="svg", transparent=True, metadata={"Date": None}
        )
    return _inline(stream.getvalue(), plot)


def thin(
    x: Sequence[float], y: Sequence[float | None], most: int = MOST_POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbouring points, so that at most `most` are left.

    Points without a finite value are left out of the means; a group without
    any stays a gap (NaN).
    """
    x = np.asarray(x, float)
    y = np.array([math.nan if v is None else v for v in y], float)
    y[~np.isfinite(y)] = math.nan
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), most + 1).astype(int)
    groups = list(zip(edges[:-1], edges[1:], strict=True))
    means = []
    for start, end in groups:
        finite = y[start:end][np.isfinite(y[start:end])]
        means.append(finite.mean() if finite.size else math.nan)
    return np.array([x[a:b].mean() for a, b in groups]), np.array(means)


def moving_average(y: np.ndarray, window: int) -> np.ndarray:
    """Centred moving average of the finite values; shorter at the ends."""
    finite = np.isfinite(y)
    kernel = np.ones(2 * (window // 2) + 1)
    total = np.convolve(np.where(finite, y, 0.0), kernel, "same")
    count = np.convolve(finite.astype(float), kernel, "same")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(finite, total / count, math.nan)


def _draw_curve(axes, curve: Curve) -> None:
    x, y = thin(curve.x, curve.y)
    dashes, marker = LOOKS.get(curve.colour, ((0, (4, 3)), "o"))
    # A lone point makes no line.
    marked = curve.marked or not curve.line or len(x) < 3
    window = round(len(x) * SMOOTHING_SHARE)
    smooth = curve.smooth and window >= 2
    quiet = curve.colour == MUTED
    # Matplotlib leaves names that begin with _ out of the legend.
    label = shortened(curve.label.lstrip("_"))
    axes.plot(
        x,
        y,
        color=curve.colour,
        linewidth=0.9 if smooth or quiet else 1.7,
        linestyle=("solid" if smooth else dashes) if curve.line else "none",
        alpha=0.35 if smooth else 1.0,
        marker=marker if marked and not quiet else None,
        markersize=2.5 if len(x) > _MANY_POINTS else 5,
        label=None if smooth else label,
        solid_joinstyle="round",
    )
    if curve.spread is not None:
        axes.errorbar(
            x, y, curve.spread, color=curve.colour, fmt="none", capsize=4
        )
    if smooth:
        average = moving_average(y, window)
        axes.plot(
            x,
            average,
            color=curve.colour,
            linewidth=1.9,
            linestyle=dashes,
            label=label,
        )


def shortened(name: str) -> str:
    """A name that fits into a legend, without its middle if it is long."""
    if len(name) <= _LONGEST_NAME:
        return name
    half = (_LONGEST_NAME - 1) // 2
    return f"{name[:half]}\u2026{name[-half:]}"


def _legend_shape(plot: Plot) -> tuple[int, int]:
    """Columns and lines of the legend; (0, 0) where there is none."""
    named = [shortened(curve.label) for curve in plot.curves if curve.label]
    if len(named) < 2:
        return 0, 0
    widest = max(map(len, named)) * _LETTER + _HANDLE
    columns = max(1, min(len(named), int(plot.size[0] * 72 / widest)))
    return columns, math.ceil(len(named) / columns)


def _draw_legend(figure, axes, columns: int) -> None:
    """Below the plot, where it covers neither curves nor the title."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        handlelength=2.6,
        fontsize=9.5,
    )


def _set_axes(axes, plot: Plot) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(
        plot.title, loc="left", fontsize=11, fontweight="bold", color=INK
    )
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    if plot.ticks is None:
        axes.xaxis.set_major_locator(
            MaxNLocator(6, steps=ROUND_STEPS, integer=plot.x_label == "step")
        )
        axes.xaxis.set_major_formatter(_percent if plot.percent_x else _number)
    else:
        axes.set_xticks(range(len(plot.ticks)), plot.ticks)
        axes.set_xlim(-0.5, len(plot.ticks) - 0.5)
    values = _finite_values(plot)
    if plot.logarithmic and _spans_decades(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_number)
        axes.yaxis.set_minor_formatter("")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=ROUND_STEPS))
        _write_ticks(axes, plot, values)
        if plot.from_zero:
            top = max([*values, plot.level or 0.0], default=1.0)
            axes.set_ylim(0, (top or 1.0) * 1.08)
        elif values and min(values) >= 0 and axes.get_ylim()[0] < 0:
            # Nothing is below zero, also where the margin would be.
            spread = axes.get_ylim()[1]
            axes.set_ylim(-0.02 * spread, spread)
    for place in plot.borders:
        axes.axvline(place, color=MUTED, linewidth=1, linestyle=(0, (1, 3)))
    if plot.level is not None:
        axes.axhline(
            plot.level, color=MUTED, linewidth=1, linestyle=(0, (4, 3))
        )


def _write_ticks(axes, plot: Plot, values: list[float]) -> None:
    """Short numbers: a power of ten that all share goes into the label."""
    shown = _percent if plot.percent else _number
    largest = max(map(abs, values), default=0.0)
    if 0 < largest < 0.01 and not plot.percent:
        exponent = math.floor(math.log10(largest))
        digits = str(-exponent).translate(SUPERSCRIPTS)
        axes.set_ylabel(f"{plot.y_label} in 10\u207b{digits}")

        def scaled(value, _position=None):
            return _number(value / 10.0**exponent)

        shown = scaled

    axes.yaxis.set_major_formatter(shown)


def _finite_values(plot: Plot) -> list[float]:
    return [
        value
        for curve in plot.curves
        for value in curve.y
        if value is not None and math.isfinite(value)
    ]


def _spans_decades(values: list[float]) -> bool:
    if not values or min(values) <= 0:
        return False
    return max(values) / min(values) > LOGARITHMIC_FROM


def _number(value: float, _position=None) -> str:
    """1,234 or 0.05 or 2e-05, as short as it can be."""
    if value == 0:
        return "0"
    if abs(value) >= 1e7:
        return f"{value / 1e6:,.4g} M"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}".replace("-", "\u2212")
    return f"{value:.4g}".replace("-", "\u2212")


def _percent(value: float, _position=None) -> str:
    return f"{value * 100:.4g} %"


def _inline(svg: str, plot: Plot) -> str:
    """Makes a whole SVG file an element that shares a page with others."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = _own_ids(svg, plot.name)
    # The page says how wide it is; the view box keeps the shape.
    head, rest = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)[0]
    title = plot.title.replace("&", "&amp;").replace("<", "&lt;")
    return f'<svg {box} role="img"><title>{title}</title>{rest}'


def _own_ids(svg: str, name: str) -> str:
    """Drops ids that nothing refers to; makes the others the plot's own."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))

    def rename(match: re.Match) -> str:
        known = match[1] in used
        return f' id="{name}-{match[1]}"' if known else ""

    svg = re.sub(r' id="([^"]+)"', rename, svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    return re.sub(r' (?:xlink:)?href="#', f' href="#{name}-', svg)
