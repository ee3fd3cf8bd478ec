"""The tests of labkit, and what they share: `lab.py` (a lab of their own), `leaks.py`."""
