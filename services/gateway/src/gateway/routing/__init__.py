"""Endpoints, early refusals and the short paths to them."""
