"""The launcher's way to its storage: memory of its own writes, patience with outages."""
