"""Contract between gateway, transformer and predictor, over the Open Inference Protocol v2.

Each name, type and limit that two hops must agree on stands here once. The package needs only the standard library.
"""
