import socket

import pytest

from trainers.distributed.wire import Connection


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n", b"[1]\n", b"\xff\n", b"[" * 20_000 + b"\n"],
    ids=["http", "list", "bytes", "deep"],
)
def test_what_is_no_message_ends_the_connection(data):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b'{"a": 1}\n{"b"')
        connection = Connection(ours)
        assert connection.receive() == [{"a": 1}]
        theirs.sendall(b": 2}\n" + data)
        assert connection.receive() is None
