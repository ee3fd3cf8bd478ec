"""The API's JSON: what a container, an image and the engine look like to a client."""
