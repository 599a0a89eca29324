"""Read files of any supported form into a `recsys.data.dataset.Dataset`.

Discovery of files, text and Parquet, columns, timestamps, and validation that names file and line.
"""
