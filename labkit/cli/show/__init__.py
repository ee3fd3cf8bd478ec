"""How results are shown: templates, tables, the steps of a build or of a start."""
