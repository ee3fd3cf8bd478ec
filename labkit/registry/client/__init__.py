"""Requests to registries: manifests, blobs, tags, uploads, search, login.

`registry.Registry` is one registry's endpoint with credentials; `repository.Repository` is the
content under one name there.  Nothing here knows the image store: the code that pulls or pushes
joins the two.  Only the modules that need httpx import it, so this package itself costs nothing.
"""
