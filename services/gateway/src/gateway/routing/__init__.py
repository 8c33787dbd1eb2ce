"""Endpoints, admission and the short paths to them."""
