"""The engine's knowledge of containers: records, states, names, and the events it publishes."""
