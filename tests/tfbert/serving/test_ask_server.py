"""docs/examples/ask_server.py, against a stand-in for the server's JSON."""

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import rest_rules
import tensorflow as tf
from every_kind import servables

from tfbert.serving.package import signatures

SCRIPT = Path(__file__).parents[3] / "docs" / "examples" / "ask_server.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("ask_server", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_help_tells_how_to_run_it(script, capsys):
    with pytest.raises(SystemExit) as stopped:
        script.build_parser().parse_args(["--help"])
    assert stopped.value.code == 0
    assert "ask_server.py exports/reviews" in capsys.readouterr().out


def test_docker_gets_the_export_and_the_ports(script, tmp_path):
    words = script.docker_command(tmp_path, "image:1", 1234, 5678)
    assert words[-1] == "image:1" and words[:2] == ["docker", "run"]
    assert f"{tmp_path}:/models/asked:ro" in words
    assert {"1234:8501", "5678:8500"} <= set(words)


def test_answers_in_json_are_compared(script):
    want = {"label": np.array([b"a"], object), "p": np.array([[0.5, 0.25]])}
    for rows in (True, False):
        got = script.arrays(rest_rules.to_json(want, rows), list(want))
        assert script.difference(got, want) == 0
        got["p"] = got["p"] + 0.25
        assert script.difference(got, want) == 0.25
        got["label"] = np.array(["b"])
        assert script.difference(got, want) == float("inf")
        one = {"p": want["p"]}
        got = script.arrays(rest_rules.to_json(one, rows), ["p"])
        assert script.difference(got, one) == 0
    none = {"tokens": np.empty([1, 0, 5], object), "n": np.zeros([1, 0])}
    got = script.arrays(rest_rules.to_json(none, True), list(none))
    assert script.difference(got, none) == 0


def test_a_server_that_is_not_there_is_waited_for(script):
    with pytest.raises(TimeoutError, match="served no version within 0 s"):
        script.wait_until_ready("http://localhost:1", 0.1)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(export, port): a model behind the server's rules of JSON."""
    folder = tmp_path_factory.mktemp("export")
    servables()["multiple_choice"].save(folder / "1")
    model = tf.saved_model.load(str(folder / "1"))
    inputs = signatures.read_signatures(folder / "1")

    class Handler(BaseHTTPRequestHandler):
        def answer(self, body):
            data = json.dumps(body).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.answer({"model_version_status": [{"state": "AVAILABLE"}]})

        def do_POST(self):
            size = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(size))
            name = body["signature_name"]
            given = rest_rules.from_json(body, inputs[name])
            answer = model.signatures[name](
                **{key: tf.constant(v) for key, v in given.items()}
            )
            arrays = {key: value.numpy() for key, value in answer.items()}
            self.answer(rest_rules.to_json(arrays, "instances" in body))

        def log_message(self, *_):
            pass

    server = HTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, server.server_port
    server.shutdown()


@pytest.mark.long
def test_the_verdict_on_a_server(served, script, monkeypatch, capsys):
    export, port = served
    model = tf.saved_model.load(str(export / "1"))

    def ask_grpc(address, name, inputs):
        assert address == "localhost:8500"
        answer = model.signatures[name](
            **{key: tf.constant(value) for key, value in inputs.items()}
        )
        return {key: value.numpy() for key, value in answer.items()}

    monkeypatch.setattr(script, "_ask_grpc", ask_grpc)
    words = [str(export), "--server", "localhost", "--rest_port", str(port)]
    assert script.main(words) == 0
    printed = capsys.readouterr().out
    assert "\nEQUAL: largest difference" in printed
    for name in signatures.read_signatures(export / "1"):
        for way in ("REST rows", "REST columns", "gRPC"):
            assert any(
                line.startswith(name) and way in line
                for line in printed.splitlines()
            )
    assert script.main([*words, "--tolerance", "-1"]) == 1
    assert "NOT EQUAL" in capsys.readouterr().out
