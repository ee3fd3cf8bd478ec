"""Chapter 8: states, ends, pauses, restarts; what process 1 has to do."""
