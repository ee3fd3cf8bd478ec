"""Chapter 3: layers and what they share, the union, storage drivers."""
