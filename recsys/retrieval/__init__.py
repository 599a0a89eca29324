"""Answer top-k requests, exactly or through an inverted-file index."""
