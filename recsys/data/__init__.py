"""Plain arrays of interactions, features and splits, the input of every other package.

The package imports numpy, polars and safetensors only.
"""
