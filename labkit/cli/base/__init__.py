"""What every command stands on: its form, its flags, its errors and its help."""
