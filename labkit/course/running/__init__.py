"""Chapter 7: names of a container, and the two doors into one that runs."""
