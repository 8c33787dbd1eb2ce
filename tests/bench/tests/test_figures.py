from dataclasses import replace

import pytest

from bench import figures
from bench.figures import BATCH_1000, IN_PROCESS, RATIOS, Row
from bench.systems import KSERVE, LOGGING, MLSERVER, OURS, TRACED, UNCOALESCED


def row(name: str, connections: int, cpu: float = 100.0, rate: float = 1000.0, p50: float = 1.0) -> Row:
    return Row(name, 1, connections, rate, cpu, p50, 2.0, 0)


def test_medians_are_taken_measure_by_measure_and_errors_add_up() -> None:
    first = row(OURS, 64, cpu=300, rate=10)
    rounds = [
        [replace(first, errors=1, mails_per_batch=30.0)],
        [replace(first, cpu_us_per_mail=100, mails_per_s=30, mails_per_batch=20.0)],
        [replace(first, cpu_us_per_mail=200, mails_per_s=20, errors=2, mails_per_batch=31.0)],
    ]
    (middle,) = figures.medians(rounds)
    assert (middle.cpu_us_per_mail, middle.mails_per_s, middle.errors, middle.mails_per_batch) == (200, 20, 3, 30.0)


def test_rows_of_different_loads_are_kept_apart() -> None:
    assert len(figures.medians([[row(OURS, 1), row(OURS, 64)], [row(OURS, 64), row(OURS, 1)]])) == 2


def test_ratios() -> None:
    rows = [
        row(OURS, 64, cpu=200, rate=4000),
        row(LOGGING, 64, cpu=210),
        row(TRACED, 64, cpu=204),
        row(UNCOALESCED, 64, rate=500),
        row(MLSERVER, 64, cpu=500),
        row(OURS, 1, p50=1.7),
        row(BATCH_1000, 1, cpu=180),
        row(IN_PROCESS.format(32), 0, cpu=150),
    ]
    assert figures.ratios([rows]) == {
        "cpu_vs_mlserver_at_64": 0.4,
        "coalescing_throughput_at_64": 8.0,
        "inference_log_cpu_at_64": 1.05,
        "tracing_cpu_at_64": 1.02,
        "p50_ms_at_1": 1.7,
        "batch_1000_cpu_vs_in_process_32": 1.2,
    }


def test_ratios_of_systems_that_were_left_out_are_left_out() -> None:
    assert figures.ratios([[row(OURS, 1), row(KSERVE, 64)]]) == {"p50_ms_at_1": 1.0}


def test_ratios_are_medians_of_the_rounds_own() -> None:
    """Logging costs 5 % in each round; a ratio of two medians from different rounds would say 2 %."""
    factors = [(100, 105), (200, 210), (150, 157.5), (90, 200), (160, 150)]
    rounds = [[row(OURS, 64, cpu=ours), row(LOGGING, 64, cpu=logging)] for ours, logging in factors]
    assert figures.ratios(rounds) == {"inference_log_cpu_at_64": 1.05}


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        ("cpu_vs_mlserver_at_64", 0.6, True),
        ("cpu_vs_mlserver_at_64", 0.61, False),
        ("coalescing_throughput_at_64", 6.0, True),
        ("coalescing_throughput_at_64", 5.9, False),
    ],
)
def test_bounds(name: str, value: float, met: bool) -> None:
    assert RATIOS[name].meets(value) is met
    assert ("MISSED" in figures.summary({name: value})) is not met


def test_table_has_the_loads_in_order_and_in_process_last() -> None:
    text = figures.table([row(IN_PROCESS.format(1), 0), row(OURS, 64), row(OURS, 1)])
    names = [line.split("  ")[0] for line in text.splitlines()[2:]]
    assert names == [OURS, OURS, IN_PROCESS.format(1)]
    assert len({len(line) for line in text.splitlines()}) == 1
