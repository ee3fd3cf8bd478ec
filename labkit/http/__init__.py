"""An HTTP/1.1 server over any stream socket, shared by labkitd and the registry.

`server` describes the way of a request.  This package does not know what is requested: a `Service`
brings the handler, the answers to errors, and its own headers.
"""
