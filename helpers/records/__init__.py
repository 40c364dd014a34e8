"""Recorded runs and what they were made with: the only room that knows their files.

A new field of a record, or a check of one, goes here; scores are computed in `helpers.results`.
"""

from helpers.records.sources import sources, stale, write_sources
from helpers.records.vouching import vouch

__all__ = ["sources", "stale", "vouch", "write_sources"]
