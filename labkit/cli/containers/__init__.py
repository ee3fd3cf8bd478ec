"""`labkit container …`: one file for each command about containers."""
