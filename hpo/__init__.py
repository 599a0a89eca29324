"""Tune `recsys` with Optuna, mirror the study in MLflow, promote the winner.

The modules here are the commands; each package below has one purpose.
"""
