"""An HTTP/1.1 server over any stream socket: what labkitd and the registry have in common.

What happens to a request is written down in `server`.  What is asked for is not this package's
matter: a `Service` brings the handler, the answers to errors and the headers that are its own.
"""
