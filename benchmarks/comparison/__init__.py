"""The parts of `benchmarks/quality.py`: cases, peers, tuning, stored results, report."""
