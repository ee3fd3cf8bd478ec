"""Chapters 4 and 5: builds step by step with their cache, and the effect of each instruction."""
