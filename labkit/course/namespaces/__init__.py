"""Chapter 11: the namespaces that containers have, share and lack."""
