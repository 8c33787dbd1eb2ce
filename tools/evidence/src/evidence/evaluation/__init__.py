"""Evaluation of models on labelled mail: `make evaluate`, and evidence between models of other corpora."""
