"""Flags, exit codes, printing and output files that the commands share."""
