"""Chapter 8: states, ends, pauses, restarts; the duties of process 1."""
