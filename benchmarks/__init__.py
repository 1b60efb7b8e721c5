"""Benchmarks: they compare figures with a peer or a limit in the same run, and judge nothing."""
