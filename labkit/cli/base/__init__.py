"""The base of every command: its form, its flags, its errors and its help."""
