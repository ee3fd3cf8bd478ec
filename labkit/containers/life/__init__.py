"""A container's life: create, start, watch, restart, end, and recovery (chapter 8)."""
