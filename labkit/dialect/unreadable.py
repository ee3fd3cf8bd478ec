"""The exceptions of `msgspec.json.decode` for foreign text, in one list that is complete."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The text is not JSON, or another kind of object; not UTF-8; nested too deeply."""
