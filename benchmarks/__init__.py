"""Benchmarks: they print figures beside a peer or a limit of the same run, and judge nothing."""
