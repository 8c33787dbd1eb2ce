"""Which images and which model an environment runs: pinned, promoted, and shown before it happens."""
