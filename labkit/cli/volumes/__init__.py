"""`labkit volume …`: one file for each command."""
