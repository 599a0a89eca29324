"""Tune `recsys` with Optuna, show it in MLflow, promote the winner.

The modules here are the commands; each package below has one purpose.
"""
