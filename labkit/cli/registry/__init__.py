"""`labkit login`, `logout` and `registry …`: one file for each command."""
