"""Serving the champion: files checked before they are read, answers over HTTP and in bulk."""
