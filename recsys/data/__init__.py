"""Plain arrays of interactions, features and splits that every other package works on.

Depends on numpy and polars only.
"""
