"""Chapter 2: who talks to whom, recorded; and whose child a container is."""
