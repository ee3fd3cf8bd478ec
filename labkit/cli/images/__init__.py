"""`labkit image …`: one file for each command about images."""
