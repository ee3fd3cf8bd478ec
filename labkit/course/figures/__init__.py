"""How the course draws: one style, figures with words and numbers, tables, live panels."""
