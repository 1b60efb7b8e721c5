"""Segment's reference runtime in Node: how it is installed, and how benchmarks talk to it."""
