"""Containers: their records, their life from create to remove, and who watches them."""
