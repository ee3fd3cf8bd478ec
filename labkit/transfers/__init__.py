"""Pull and push: between the image store and registries, with reports on the way.

Imported when first needed: the HTTP library behind it takes a tenth of a second to import.
"""
