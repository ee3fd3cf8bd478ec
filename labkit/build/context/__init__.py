"""The files that a build copies from: sent by the client, or fetched."""
