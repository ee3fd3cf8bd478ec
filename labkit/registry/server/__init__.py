"""The registry's server: the OCI distribution specification 1.1 over a folder of OCI layouts.

`routes` is the list of all requests, `store` the content on disk, `serving` the start of a server.
The HTTP below it is `labkit.http`.
"""
