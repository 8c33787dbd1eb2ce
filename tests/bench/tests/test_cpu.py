import os
import subprocess
import sys
import time

import pytest

from bench import cpu
from bench.cpu import Process

STAT = "4242 (a) (b c) S 17 4242 4242 0 -1 4194304 900 800 0 0 {} 20 0 9 0 8000 0 0"


def test_parse_adds_up_own_and_childrens_time_whatever_the_name() -> None:
    assert cpu.parse(STAT.format("100 20 3 4")) == Process(parent=17, ticks=127)


def test_tree_takes_in_descendants_and_nothing_else() -> None:
    found = {1: Process(0, 1000), 10: Process(1, 1), 11: Process(10, 2), 12: Process(11, 4), 20: Process(1, 8)}
    assert cpu.tree_ticks(found, {10}) == 7
    assert cpu.tree_ticks(found, {10, 11, 20}) == 15


def test_an_ended_server_is_not_taken_for_an_idle_one() -> None:
    with pytest.raises(ProcessLookupError, match="11"):
        cpu.tree_ticks({10: Process(1, 1)}, {10, 11})


def test_agrees_with_the_time_a_process_takes_itself_for() -> None:
    before, own = cpu.seconds([os.getpid()]), time.process_time()
    while time.process_time() - own < 0.2:
        pass
    assert cpu.seconds([os.getpid()]) - before == pytest.approx(0.2, abs=0.05)


def test_counts_children_that_have_ended() -> None:
    before = cpu.seconds([os.getpid()])
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert cpu.seconds([os.getpid()]) - before >= 0.25
