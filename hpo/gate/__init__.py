"""The gate between a model and the champion alias: race, refit, one comparison on test, rules."""
