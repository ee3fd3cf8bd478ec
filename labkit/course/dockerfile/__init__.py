"""Chapters 4 and 5: builds step by step, their cache; what each instruction does."""
