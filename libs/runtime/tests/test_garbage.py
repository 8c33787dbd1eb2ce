import subprocess
import sys

SPARED = """
import gc
from runtime import spare_loaded_objects
assert gc.get_freeze_count() == 0
spare_loaded_objects()
print(gc.get_freeze_count() > 1000, gc.get_threshold())
"""


def test_loaded_objects_are_spared() -> None:
    """In a process of its own, since nothing but the end of the process thaws all objects."""
    done = subprocess.run([sys.executable, "-c", SPARED], capture_output=True, text=True, check=True)
    assert done.stdout == "True (50000, 20, 100)\n"
