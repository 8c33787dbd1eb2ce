"""Tests of the rendered chart against what the system needs."""
