"""Caches of builds that their client names: in registries, and in folders of the client."""
