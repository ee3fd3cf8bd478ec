"""Commands about the engine itself: `info`, `events`, `doctor`, `daemon`, `system …`."""
