"""Each kind of report as a browser lays it out.

With REPORT_SCREENSHOTS=FOLDER the pictures stay there, to be looked at.
"""

import os
import pathlib

import pytest

from trainers import report

KINDS = ["pretraining", "classification", "regression", "token_labelling"]
KINDS += ["question_answering", "role_labelling", "multi_label"]
KINDS += ["multiple_choice", "seeds", "sweep", "comparison"]
# Elements that hold text which the page cuts or lays over other text.
CUT = """
[...document.querySelectorAll('h1, h2, h3, p, .value, .note, .label, mark')]
  .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1 &&
          getComputedStyle(e).display !== 'inline')
  .map(e => e.textContent.slice(0, 60))
"""
OVERLAPS = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const boxes = [...svg.querySelectorAll('text')].filter(t => t.textContent)
    .map(t => [t.textContent, t.getBoundingClientRect()])
    .filter(([_, r]) => r.width);
  const frame = svg.getBoundingClientRect();
  const out = boxes.filter(([_, r]) => r.left < frame.left - 2 ||
    r.right > frame.right + 2 || r.bottom > frame.bottom + 2)
    .map(([t, _]) => 'outside: ' + t);
  return out.concat(boxes.flatMap(([t, a], i) => boxes.slice(i + 1)
    .filter(([_, b]) => Math.min(a.right, b.right) -
      Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) -
      Math.max(a.top, b.top) > 2).map(([u, _]) => t + ' over ' + u)));
})
"""
# Words that stand on two lines.
BROKEN = """
[...document.querySelectorAll('td, th, .value, .label, .note, mark')]
  .filter(e => e.offsetParent && !e.closest('code')).flatMap(e => {
    const broken = [], walk = document.createTreeWalker(e, 4);
    for (let text; text = walk.nextNode();) {
      if (text.parentElement.closest('code')) continue;
      for (const word of text.data.matchAll(/[\\p{L}\\p{N}_.]+/gu)) {
        if (word[0].length > 24) continue;
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        const tops = [...range.getClientRects()].map(r => Math.round(r.top));
        if (new Set(tops).size > 1) broken.push(word[0]);
      }
    }
    return broken;
  })
"""
# Contrast of WCAG 2 between what is drawn and the card behind it, below 3.
FAINT = """
(() => {
  const light = colour => colour.match(/[0-9.]+/g).slice(0, 3).map(Number)
    .map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const probe = document.body.appendChild(document.createElement('div'));
  const of = name => {
    probe.style.color = `var(${name})`;
    return light(getComputedStyle(probe).color) + 0.05;
  };
  const names = ['--ink', '--muted', ...[1, 2, 3, 4, 5, 6].map(
    i => `--curve-${i}`)];
  const faint = names.filter(name => {
    const pair = [of(name), of('--card')].sort((a, b) => b - a);
    return pair[0] / pair[1] < 3;
  });
  probe.remove();
  return faint;
})()
"""


@pytest.fixture(scope="module", params=KINDS)
def page(request, tmp_path_factory, write_run, write_seeds, write_sweep):
    """The report of a made-up run of some kind."""
    folder = tmp_path_factory.mktemp(request.param) / "folder"
    if request.param == "comparison":
        runs = [
            write_run(folder / f"a_long_name_of_a_run_{i}", "regression", i / 9)
            for i in range(8)
        ]
        return report.write_report(runs, folder / "comparison.html")
    if request.param == "seeds":
        write_seeds(folder)
    elif request.param == "sweep":
        write_sweep(folder)
    else:
        write_run(folder, request.param)
    page = report.write_report([folder])
    return page.rename(folder / f"{request.param}.html")


@pytest.mark.long
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_or_lies_over_another(
    page, width, scheme, browser, tmp_path
):
    browser.open(page, width, scheme)
    folder = pathlib.Path(os.environ.get("REPORT_SCREENSHOTS", tmp_path))
    browser.picture(folder / f"{page.stem}-{width}-{scheme}.png")
    assert browser.complaints == []
    wide = browser.value("document.documentElement.scrollWidth")
    assert wide <= browser.value("innerWidth")
    assert browser.value(CUT) == []
    assert browser.value(OVERLAPS) == []
    assert browser.value(BROKEN) == []
    assert browser.value(FAINT) == []
