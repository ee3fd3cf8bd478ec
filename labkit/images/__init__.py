"""Images: an OCI layout on disk, read-only layers unpacked for overlay, names and tags."""
