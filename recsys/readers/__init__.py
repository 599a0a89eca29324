"""Readers of all supported files, with `recsys.data.dataset.Dataset` as the result.

The modules find files, read text and Parquet, recognise columns and times, and report problems
with file and line.
"""
