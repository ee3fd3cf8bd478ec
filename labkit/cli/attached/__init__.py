"""An attached container: its streams, its terminal, the command's signals, its end."""
