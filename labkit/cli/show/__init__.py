"""The form of results: templates, tables, the steps of a build or of a start."""
