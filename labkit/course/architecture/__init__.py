"""Chapter 2: the requests between client, daemon and registry; the parents of a container."""
