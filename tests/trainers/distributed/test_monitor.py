"""Workers that meet, agree and are lost: the monitors of three, in threads."""

import queue
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from tfbert.errors import UserError
from trainers.distributed import monitor as monitors
from trainers.distributed.members import (
    Cluster,
    check_port_is_free,
    read_tf_config,
)
from trainers.distributed.monitor import Monitor
from trainers.distributed.rendezvous import NotStarted, meet
from trainers.distributed.worker_status import COMPUTING, WAITING, Pulse
from trainers.launch import free_ports

FOR_EVER = 600.0


def clusters(count):
    *ports, monitor = free_ports(count + 1)
    workers = tuple(f"localhost:{port}" for port in ports)
    return [
        Cluster(workers, index, "TF_CONFIG", f"localhost:{monitor}")
        for index in range(count)
    ]


def together(functions):
    """Calls each in a thread; returns results or exceptions, in order."""
    results = [None] * len(functions)

    def call(index):
        try:
            results[index] = functions[index]()
        except Exception as error:  # noqa: BLE001
            results[index] = error

    threads = [
        threading.Thread(target=call, args=(i,)) for i in range(len(functions))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Worker:
    """A worker without training."""

    def __init__(self, cluster, stall_seconds):
        self.said = []
        self.verdicts = queue.Queue()
        self.pulse = Pulse(stall_seconds, FOR_EVER)
        self.monitor = Monitor(
            cluster,
            meet(cluster, 20.0, self.said.append),
            self.pulse,
            self.said.append,
            self.verdicts.put,
        )

    def verdict(self):
        return self.verdicts.get(timeout=20)

    def die(self):
        """As a killed process does: its connections end."""
        self.monitor._end.set()
        for connection in self.monitor._all_connections.values():
            connection._socket.shutdown(socket.SHUT_RDWR)
            connection.close()


@pytest.fixture
def start(monkeypatch):
    """Starts workers; shortens what they wait for."""
    monkeypatch.setattr(monitors, "PULSE_SECONDS", 0.1)
    monkeypatch.setattr(monitors.failure_detector, "GRACE_SECONDS", 0.3)
    started = []

    def start(count, stall_seconds=FOR_EVER):
        found = clusters(count)
        workers = together(
            [lambda c=c: Worker(c, stall_seconds) for c in found]
        )
        started.extend(workers)
        return workers

    yield start
    for worker in started:
        worker.monitor.close()


def test_a_lost_worker_is_named_on_all_others(start):
    workers = start(3)
    for worker in workers:
        worker.pulse.begin_step(False)
        worker.pulse.end_step(37)
        worker.pulse.begin_step(False)
        worker.pulse.enter(WAITING)
    time.sleep(0.5)
    workers[1].die()
    for worker in (workers[0], workers[2]):
        verdict = worker.verdict()
        assert re.match(
            r"worker 1 \(localhost:\d+\) was lost in step 38", verdict.text
        )
        assert verdict.status == 5


def test_a_lost_chief_is_named_on_all_others(start):
    workers = start(3)
    workers[0].die()
    for worker in workers[1:]:
        assert re.match(
            r"worker 0 \(localhost:\d+, the chief\) was lost before the first",
            worker.verdict().text,
        )


def test_a_stalled_worker_is_named_on_all(start):
    workers = start(2, stall_seconds=0.8)
    for worker in workers:
        worker.pulse.end_step(4)
        worker.pulse.begin_step(False)
    workers[0].pulse.enter(WAITING)
    workers[1].pulse.enter(COMPUTING)
    for worker in workers:
        verdict = worker.verdict()
        assert verdict.text.startswith("worker 1")
        assert "stalled in step 5: computing gradients for" in verdict.text
        assert verdict.stalled


def test_good_byes_are_no_loss_and_errors_are_passed_on(start):
    workers = start(3)
    workers[2].monitor.close()
    time.sleep(0.8)
    assert workers[0].verdicts.empty() and workers[1].verdicts.empty()
    workers[1].monitor.close(2, "wanted records, got nothing")
    verdict = workers[0].verdict()
    assert verdict.text.endswith("with status 2: wanted records, got nothing")
    assert verdict.status == 2


def test_agreement_and_disagreement(start):
    workers = start(3)
    same = {"seed": "1"}
    assert (
        together(
            [lambda w=w: w.monitor.agree("settings", same) for w in workers]
        )
        == [None] * 3
    )
    facts = [{"seed": "1"}, {"seed": "2", "code a.py": "ff"}, {"seed": "1"}]
    found = together(
        [
            lambda w=w, f=f: w.monitor.agree("data", f)
            for w, f in zip(workers, facts, strict=True)
        ]
    )
    assert all(isinstance(error, UserError) for error in found)
    for error in found:
        assert "wanted the same data on all workers" in str(error)
        assert re.search(
            r"seed: 2 on worker 1 \(localhost:\d+\), 1 on worker 0", str(error)
        )
        assert "code a.py: ff on worker 1" in str(error)
        assert "worker 2" not in str(error)


def test_the_same_is_asked_again_and_again(start):
    """As by each run of several seeds, and after each rollback."""
    workers = start(2)

    def ask(seeds, **options):
        return together(
            [
                lambda w=w, s=s: w.monitor.agree("seed", {"seed": s}, **options)
                for w, s in zip(workers, seeds, strict=True)
            ]
        )

    assert ask([1, 1]) == [None, None]
    assert ask([2, 2]) == [None, None]
    for error in ask([3, 4], status=6, advice="Try again."):
        assert isinstance(error, UserError) and error.status == 6
        assert "seed: 4 on worker 1" in str(error)
        assert str(error).endswith("\nTry again.")
    assert ask([5, 5]) == [None, None]
    # Nothing is kept of what was answered.
    assert not any(w.monitor._facts or w.monitor._answers for w in workers)


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_the_thread_lives_on_after_an_error_and_a_broken_display(start, error):
    def broken(*_):
        raise error("no display")

    workers = start(2)
    for worker, own in zip(workers, (0.1, 0.5), strict=True):
        worker.monitor._report = broken
        worker.monitor._take = broken
        worker.pulse.end_step(8)
        worker.pulse._own_seconds.extend([own] * 5)
    time.sleep(1.0)
    for worker in workers:
        assert worker.monitor._thread.is_alive()
        del worker.monitor._take
    workers[1].die()
    assert "worker 1" in workers[0].verdict().text


def test_unequal_numbers_of_gpus_are_refused():
    one, two = clusters(2)
    found = together(
        [lambda: meet(one, 9, print, 4), lambda: meet(two, 9, print, 2)]
    )
    for error in found:
        assert isinstance(error, UserError)
        assert "uses 2 GPUs, the chief 4" in str(error)


def test_a_host_that_knows_ipv6_only():
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6")
    *ports, monitor = free_ports(3)
    workers = tuple(f"[::1]:{port}" for port in ports)
    one, two = (
        Cluster(workers, index, "TF_CONFIG", f"[::1]:{monitor}")
        for index in range(2)
    )
    for cluster in (one, two):
        check_port_is_free(cluster)
    found = together([lambda: meet(one, 9, print), lambda: meet(two, 9, print)])
    assert found[0].keys() == {1} and found[1].keys() == {0}
    for connection in (*found[0].values(), *found[1].values()):
        connection.close()
    with (
        socket.create_server(("::1", ports[0]), family=socket.AF_INET6),
        pytest.raises(UserError, match=f"port {ports[0]} of worker 0"),
    ):
        check_port_is_free(one)


def test_slow_workers_are_reported_once_in_a_while(start):
    workers = start(2)
    for worker, own in zip(workers, (0.1, 0.5), strict=True):
        worker.pulse.end_step(8)
        worker.pulse._own_seconds.extend([own] * 5)
    time.sleep(1.0)
    (line,) = workers[0].said
    assert re.match(r"worker 1 \(localhost:\d+\) is slow", line)
    assert not workers[1].said


def test_echo_of_a_loss_waits_for_the_verdict(start):
    workers = start(2)
    waited = threading.Thread(target=workers[0].monitor.wait_for_verdict)
    waited.start()
    workers[1].die()
    assert "worker 1" in workers[0].verdict().text
    waited.join(5)
    assert not waited.is_alive()


def test_missing_workers_are_named():
    one, two, three = clusters(3)
    found = together(
        [
            lambda: meet(one, 1.5, print),
            lambda: meet(two, 1.5, print),
        ]
    )
    assert isinstance(found[0], NotStarted) and found[0].status == 6
    assert re.match(
        r"worker 2 \(localhost:\d+\) did not start within 1.5 s",
        str(found[0]),
    )
    assert "did not start" in str(found[1])
    with pytest.raises(NotStarted, match=r"worker 0 .*chief.* did not answer"):
        meet(three, 0.5, print)


def test_reminders_while_waiting(monkeypatch):
    monkeypatch.setattr("trainers.distributed.rendezvous.REMIND_SECONDS", 0.2)
    said = []
    with pytest.raises(NotStarted):
        meet(clusters(2)[0], 1.0, said.append)
    assert re.match(r"waiting for worker 1 \(localhost:\d+\)", said[0])


def test_two_of_one_kind_and_other_clusters_are_refused():
    one, two, _ = clusters(3)
    found = together(
        [lambda: meet(one, 9, print)] + [lambda: meet(two, 9, print)] * 2
    )
    for error in found:
        assert isinstance(error, UserError)
        assert "there is a worker 1 already" in str(error)
    other = Cluster(
        (*two.workers[:2], "elsewhere:9"), 1, "TF_CONFIG", one.monitor
    )
    found = together(
        [lambda: meet(one, 9, print), lambda: meet(other, 9, print)]
    )
    for error in found:
        assert "elsewhere:9" in str(error) and "cluster.worker" in str(error)


def test_strangers_at_the_door_are_sent_away():
    one, two = clusters(2)

    def knock():
        port = int(one.monitor.rsplit(":", 1)[1])
        for _ in range(50):
            try:
                with socket.create_connection(("localhost", port)) as caller:
                    caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    return caller.recv(100)
            except ConnectionRefusedError:
                time.sleep(0.05)
            except ConnectionResetError:
                return b""

    def later():
        time.sleep(0.5)
        return meet(two, 9, print)

    found = together([lambda: meet(one, 9, print), knock, later])
    assert found[0].keys() == {1} and found[2].keys() == {0}
    assert found[1] == b""
    for connection in (*found[0].values(), *found[2].values()):
        connection.close()


def test_ports_in_use_are_named():
    one, _ = clusters(2)
    with socket.create_server(("", int(one.address.split(":")[1]))):
        with pytest.raises(
            UserError, match=r"port \d+ of worker 0 \(cluster.worker\[0\]"
        ):
            check_port_is_free(one)
    check_port_is_free(one)
    with socket.create_server(("", int(one.monitor.split(":")[1]))):
        with pytest.raises(UserError, match="TFBERT_MONITOR=host:port"):
            meet(one, 1, print)


def test_the_monitor_has_an_address_of_its_own():
    text = (
        '{"cluster": {"worker": ["a:65000", "b:1"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    assert read_tf_config({"TF_CONFIG": text}).monitor == "a:64000"
    told = {"TF_CONFIG": text, "TFBERT_MONITOR": "c:5"}
    assert read_tf_config(told).monitor == "c:5"
    with pytest.raises(UserError, match="TFBERT_MONITOR: wanted host:port"):
        read_tf_config({**told, "TFBERT_MONITOR": "c"})


@pytest.mark.parametrize(
    ("ending", "status"), [("pass", 0), ("raise OSError('no disk')", 1)]
)
def test_a_program_that_just_ends_says_good_bye(ending, status):
    one, two = clusters(2)
    script = (
        "from trainers.distributed.members import Cluster\n"
        "from trainers.distributed.monitor import Monitor\n"
        "from trainers.distributed.worker_status import Pulse\n"
        "from trainers.distributed.rendezvous import meet\n"
        f"cluster = Cluster({two.workers!r}, 1, 'TF_CONFIG', {two.monitor!r})\n"
        "monitor = Monitor(cluster, meet(cluster, 20, print), Pulse(9, 9))\n"
        f"{ending}\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE
    ) as process:
        worker = Worker(one, FOR_EVER)
        process.communicate(timeout=30)
    for _ in range(50):
        if 1 in worker.monitor._gone_at:
            break
        time.sleep(0.1)
    member = worker.monitor._others[1]
    assert member.status == status
    assert member.error == ("OSError('no disk')" if status else "")
    worker.monitor.close()
