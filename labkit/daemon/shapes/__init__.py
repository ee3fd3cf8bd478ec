"""The API's JSON for containers, images and the engine, as a client sees it."""
