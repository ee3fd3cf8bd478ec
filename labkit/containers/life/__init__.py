"""A container's life: created, started, watched, restarted, ended, and found again (chapter 8)."""
