"""Chapter 6: the blobs of images, and what a registry is asked."""
