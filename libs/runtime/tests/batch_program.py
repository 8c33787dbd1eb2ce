"""Batch program that writes a file, logs that, and prints the file's path: `python batch_program.py FILE`."""

import logging
import sys
from pathlib import Path

from runtime import configure_batch_logging, print_result

if __name__ == "__main__":
    configure_batch_logging()
    Path(sys.argv[1]).write_text("result")
    logging.getLogger("program").info("written", extra={"padding": "x" * 100_000})
    print_result(sys.argv[1])
