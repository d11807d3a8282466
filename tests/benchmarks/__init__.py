"""Benchmarks on a real broker: `make bench`. Every rate is a ratio to a limit of the same run."""
