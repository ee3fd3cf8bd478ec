"""What `msgspec.json.decode` raises for foreign text, so that nobody forgets one of them."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""It is not JSON, or another kind of object; not UTF-8; nested too deep."""
