"""`labkit doctor`: what this kernel and machine offer, and how to get what is missing."""
