"""Staying with a container: its streams, its terminal, our signals, its end."""
