"""The two ways to park a running study from outside: signals, and a request through its storage."""
