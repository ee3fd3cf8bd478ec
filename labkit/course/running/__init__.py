"""Chapter 7: a container's names, and the two doors into a running container."""
