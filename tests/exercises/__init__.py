"""Exercises and grading: every exercise, every way to go wrong, a class, and its cheats."""
