"""Chapter 10: the folders behind the limits, read and written by hand."""
