"""The course's drawings: one style, figures with texts and numbers, tables, live panels."""
