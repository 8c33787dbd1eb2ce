"""Releases: which images and which model an environment runs, pinned, promoted, and shown before they take effect."""
