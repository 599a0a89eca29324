"""Data sets by name or path (demo, MovieLens-100K, files), and the encoding of their features."""
