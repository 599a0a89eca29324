"""Top-k answers, exact or through an inverted-file index."""
