"""Chapter 6: the blobs of images, and the requests to a registry."""
