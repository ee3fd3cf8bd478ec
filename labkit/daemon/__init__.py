"""labkitd: the Docker Engine API on a Unix socket."""
