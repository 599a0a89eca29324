"""Resolve a data set's name or path: demo, MovieLens-100K, files; encode feature columns."""
