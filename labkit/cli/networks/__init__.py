"""`labkit network …`: one file for each command."""
