"""Commands for tests that start by a fork of a loaded interpreter, not by loading one each."""
