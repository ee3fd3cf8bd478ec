"""Fuzzers: strangers' input made up by the thousand, through every door that takes such input.

    python -m tests.fuzz archives --minutes 60 --seed 7

A case is made from a seed and its number alone, so a finding is had again with `--first NUMBER
--cases 1`.  In CI each runs for some cases with a fixed seed (`test_fuzz_*.py`).

To add one: a class like `runner.Target` in a module of its own, and a line in `__main__.TARGETS`.
"""
