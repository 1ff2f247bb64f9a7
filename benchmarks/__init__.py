"""Benchmarks, side by side with peers; see README.md. The tests never run them."""
