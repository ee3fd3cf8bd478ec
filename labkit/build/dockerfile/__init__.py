"""Reading a Dockerfile: from its text to lines, and from lines to instructions and stages.

Pure data: nothing is opened or built here.
"""
