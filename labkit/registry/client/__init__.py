"""What labkit asks of registries: manifests, blobs, tags, uploads, search, login.

`registry.Registry` is one registry's endpoint with somebody's credentials; `repository.Repository`
is what lies there under one name.  Nothing here knows the image store: who pulls or pushes joins
the two.  httpx is imported by what needs it, so this package itself costs nothing.
"""
