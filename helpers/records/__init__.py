"""Recorded runs and what they were made with: the only room that knows their files.

A new field of a record, or a check of one, goes here; scores are computed in `helpers.results`.
"""
