"""Layers as tar archives: read with care, unpacked, packed, compressed."""
