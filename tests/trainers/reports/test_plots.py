import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from trainers.reports.plots import (
    CURVES,
    LOOKS,
    WIDE,
    Curve,
    Plot,
    draw,
    draw_for_all,
    moving_average,
    thin,
)


def plot(**options):
    settings = {
        "name": "loss",
        "title": "Loss <&>",
        "x_label": "step",
        "y_label": "nats",
        "curves": [Curve("training", [1, 2, 3], [3.0, None, 1.0])],
    }
    return Plot(**(settings | options))


def words_of(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter()]


def test_text_stays_text_and_colours_come_from_the_page():
    svg = draw(plot())
    assert {"Loss <&>", "step", "nats"} <= set(words_of(svg))
    assert "var(--curve-1)" in svg and "var(--ink)" in svg
    assert "#0a0b0" not in svg
    assert "width=" not in svg.split(">")[0]


def test_the_same_plot_is_the_same_bytes():
    assert draw(plot()) == draw(plot())


def test_ids_of_two_plots_do_not_meet():
    first = draw(plot(name="a", level=2.0))
    second = draw(plot(name="b", level=2.0))

    def ids(svg):
        nodes = ElementTree.fromstring(svg).iter()
        return {node.get("id") for node in nodes} - {None}

    assert ids(first) and not ids(first) & ids(second)


def test_two_curves_have_a_legend():
    curves = [
        Curve("training", range(500), np.linspace(9, 2, 500), smooth=True),
        Curve("held out", [250, 500], [6, 2], marked=True),
    ]
    assert {"training", "held out"} <= set(words_of(draw(plot(curves=curves))))


def test_small_values_share_their_power_of_ten():
    curves = [Curve("rate", [0, 1, 2], [0.0, 5e-5, 0.0])]
    words = words_of(draw(plot(curves=curves, from_zero=True)))
    assert "nats in 10\u207b⁵" in words and "2" in words


def test_shares_are_written_in_per_cent():
    curves = [Curve("accuracy", [0, 1], [0.0, 1.0])]
    assert "50 %" in words_of(draw(plot(curves=curves, percent=True)))


def test_only_where_it_may_be_an_axis_is_logarithmic():
    curves = [Curve("norm", range(5), [1e4, 100, 10, 1, 0.5])]
    words = words_of(draw(plot(curves=curves, logarithmic=True)))
    assert {"1", "100", "10,000"} <= set(words)
    words = words_of(draw(plot(curves=curves)))
    assert {"0", "5,000", "10,000"} <= set(words)


def test_curves_differ_in_more_than_colour():
    curves = [
        Curve(str(i), [0, 1, 2], [i, i, i], colour, marked=True)
        for i, colour in enumerate(CURVES)
    ]
    svg = draw(plot(curves=curves))
    dashes = re.findall(r"stroke-dasharray: ([\d., ]+)", svg)
    assert len(set(dashes)) == len(CURVES) - 1  # the first is solid
    assert len({marker for _, marker in LOOKS.values()}) == len(CURVES)


def test_names_are_no_formulas_and_none_is_hidden():
    curves = [Curve("_a", [0, 1], [0, 1]), Curve("b$x$", [0, 1], [1, 0])]
    assert {"a", "b$x$"} <= set(words_of(draw(plot(curves=curves))))


def test_places_may_have_names():
    curves = [Curve("seeds", [0, 1], [3, 4], line=False)]
    assert {"s-7", "s-8"} <= set(
        words_of(draw(plot(curves=curves, ticks=["s-7", "s-8"])))
    )


def test_a_wide_plot_is_drawn_again_for_phones():
    assert draw_for_all(plot()).count("<svg") == 1
    page = draw_for_all(plot(size=WIDE, level=2.0))
    assert page.count("<svg") == 2 and "on-phones" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert ids and len(ids) == len(set(ids))


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_curve_without_finite_values_is_drawn_empty(value):
    draw(plot(curves=[Curve("x", [1, 2], [value, value])], from_zero=True))


def test_thinning_takes_means_and_keeps_gaps():
    x, y = thin(range(8), [1, 3, None, 5, math.nan, None, math.inf, 7], most=4)
    assert x.tolist() == [0.5, 2.5, 4.5, 6.5]
    assert y[:2].tolist() == [2, 5] and math.isnan(y[2]) and y[3] == 7
    assert thin([1, 2], [None, 4.0])[1][1] == 4


def test_the_moving_average_is_centred_and_shorter_at_the_ends():
    average = moving_average(np.array([1.0, 2.0, 6.0, math.nan, 4.0]), 3)
    assert average[0] == 1.5 and average[1] == 3.0 and average[2] == 4.0
    assert math.isnan(average[3]) and average[4] == 4.0
