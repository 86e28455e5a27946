"""Benchmarks: each is a script that measures the farm and a peer in the same run and prints the ratio."""
