"""What the command line and the daemon must read alike: one vocabulary, written once.

Modules here are light to import, because each start of the command line pays for them.
"""
