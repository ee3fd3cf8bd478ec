"""What the engine knows about containers: their records, their states, their names, who is told."""
