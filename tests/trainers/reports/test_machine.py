from trainers.reports import machine
from trainers.reports.curves import NOT_CURVES
from trainers.reports.plots import draw


def rows():
    return [
        {
            "step": step,
            "mfu": share,
            "data_wait_share": 0.02,
            "host_memory_bytes": 2e9 + step,
            "eta_seconds": 5,
        }
        for step, share in ((10, 0.4), (20, None), (30, 0.5))
    ]


def test_the_headline_knows_use_waiting_and_memory():
    found = {label: value for label, value, _ in machine.headline(rows())}
    assert found == {
        "Model FLOPs utilisation": "45.0%",
        "Waiting for data": "2.0%",
        "Memory": "2 GB",
    }
    assert not machine.headline([{"step": 1}])


def test_the_plots_are_drawn_and_leave_gaps_out():
    use, memory = machine.plots(rows())
    first, second = use.curves
    assert first.x == [10, 30] and first.y == [0.4, 0.5]
    assert second.y == [0.02] * 3
    assert memory.curves[0].y[0] == (2e9 + 10) / 1e9
    assert "<svg" in draw(use) and "<svg" in draw(memory)
    assert not machine.plots([{"step": 1}])
    # None of these gets a plot of its own besides.
    assert set(machine.FIELDS) <= NOT_CURVES
