"""`labkit lab-disk …`: one file for each command."""
