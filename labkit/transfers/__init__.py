"""Pull and push: the image store on one side, registries on the other, the client told meanwhile.

Imported when first needed, for the HTTP library behind it takes a tenth of a second to import.
"""
