"""Chapter 11: which namespaces containers have, share and lack."""
