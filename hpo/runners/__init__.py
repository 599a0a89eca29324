"""Train one configuration, in this process or in a worker."""
