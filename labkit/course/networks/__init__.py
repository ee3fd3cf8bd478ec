"""Chapter 12: the network map, a packet's way, network namespaces and cables by hand."""
