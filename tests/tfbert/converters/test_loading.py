"""What `load_encoder` says while it takes long, and of what is no source."""

import io
import logging
import time

import pytest
import rich.console

import tfbert
from tfbert.converters import loading
from tfbert.errors import UserError


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(loading, "PATIENCE", 0.01)


def test_what_takes_long_is_shown_on_a_terminal(impatient):
    out = io.StringIO()
    terminal = rich.console.Console(file=out, force_terminal=True)
    with loading.shown("Loading X", terminal):
        time.sleep(0.3)
    assert "Loading X ..." in out.getvalue()


def test_elsewhere_it_is_logged(impatient, caplog):
    caplog.set_level(logging.INFO, "tfbert")
    with loading.shown("Loading X", rich.console.Console(file=io.StringIO())):
        time.sleep(0.3)
    assert [r.getMessage() for r in caplog.records] == ["Loading X ..."]


def test_what_is_quick_says_nothing(caplog):
    caplog.set_level(logging.INFO, "tfbert")
    with loading.shown("Loading X"):
        pass
    assert not caplog.records


@pytest.mark.parametrize("source", [None, 7, "", ["a"]])
def test_what_is_no_source_is_told(source):
    with pytest.raises(UserError, match="wanted the path of a run"):
        tfbert.load_encoder(source)
