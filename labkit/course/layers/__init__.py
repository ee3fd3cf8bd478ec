"""Chapter 3: layers and shared layers, the union, storage drivers."""
