"""JSON messages, one a line, over a TCP connection."""

import json
import socket
import threading

MAX_LINE_BYTES = 8_000_000
SEND_SECONDS = 5.0


class Connection:
    """One end of a connection between two workers' monitors.

    Args:
      connected: a connected socket; it is closed with this object.

    Attributes:
      index: the worker at the other end; None until it has said so.
    """

    def __init__(self, connected: socket.socket):
        self._socket = connected
        # A peer that is stopped reads nothing; our messages are few enough
        # for the kernel to keep, so that sending never waits for long.
        self._socket.settimeout(SEND_SECONDS)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._buffer = b""
        self._lock = threading.Lock()
        self.index: int | None = None

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, **message) -> bool:
        """Sends a message; returns whether the connection took it."""
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                self._socket.sendall(line)
            except OSError:
                return False
        return True

    def receive(self) -> list[dict] | None:
        """The messages that have come; None when the connection has ended.

        Waits only if nothing has come; ask `select` first. What is no message
        of ours ends the connection.
        """
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except (ValueError, RecursionError):
            return None
        if len(self._buffer) > MAX_LINE_BYTES or not all(
            isinstance(message, dict) for message in messages
        ):
            return None
        return messages

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()
