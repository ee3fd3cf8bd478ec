"""The Python client of labkitd; its names follow docker-py's."""
