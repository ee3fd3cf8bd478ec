"""Layers as tar archives: read with checks, unpacked, packed, compressed."""
