"""Decide whether a model may become champion: race, refit, one comparison on test, rules."""
