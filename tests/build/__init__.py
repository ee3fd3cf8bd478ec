"""Small Dockerfiles, each with one rule, and what real docker made of them."""
