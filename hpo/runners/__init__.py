"""Training of one configuration, in this process or in a worker process."""
