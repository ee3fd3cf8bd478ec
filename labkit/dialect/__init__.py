"""The grammar that the command line and the daemon share: one vocabulary, written once.

Modules here import little, because each start of the command line pays for them.
"""
