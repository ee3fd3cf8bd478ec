"""Chapter 12: the network map, a packet's way, rooms and cables by hand."""
