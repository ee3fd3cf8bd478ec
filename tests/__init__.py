"""The tests of labkit, and their common modules: `lab.py` (a lab for tests), `leaks.py`."""
