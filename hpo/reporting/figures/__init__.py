"""Plots of the report, drawn with matplotlib."""
