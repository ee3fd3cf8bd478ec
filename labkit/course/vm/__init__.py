"""Chapter 1: a virtual machine and a container, started and weighed alike."""
