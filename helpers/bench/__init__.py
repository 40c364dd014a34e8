"""Speed and memory against native peers, as ratios that are taken in one run.

A new contender or measure goes here; this process of the benchmark loads no backend.
"""

from helpers.bench.measure import run, table

__all__ = ["run", "table"]
