"""One stored study: storage, locks, records, artifacts, data, replay."""
