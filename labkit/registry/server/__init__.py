"""The registry's server: the OCI distribution specification 1.1 over a folder of OCI layouts.

`routes` is the list of everything one can ask for, `store` what lies on disk, `serving` how it is
started.  The HTTP underneath is `labkit.http`.
"""
