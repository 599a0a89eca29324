"""Plain arrays of interactions, features and splits, the input of every other package.

The package depends on numpy, polars and safetensors only.
"""
