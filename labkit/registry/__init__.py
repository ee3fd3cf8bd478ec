"""Registries by the OCI distribution specification 1.1: the client and the server."""
