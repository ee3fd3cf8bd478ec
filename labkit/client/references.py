"""Names of images as far as a client must understand them: which registry, and is there a tag.

The daemon reads them in full (`labkit.images.references`); what is no name, it says.
"""

DEFAULT_DOMAIN = "docker.io"
DEFAULT_INDEX = f"https://index.{DEFAULT_DOMAIN}/v1/"
"""What the default registry is called where credentials are kept; Docker's word."""
DEFAULT_NAMES = ("", DEFAULT_DOMAIN, f"index.{DEFAULT_DOMAIN}", f"registry-1.{DEFAULT_DOMAIN}")


def split_domain(name: str) -> tuple[str, str]:
    """The registry's domain and the rest: `busybox` is `docker.io` and `library/busybox`."""
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = DEFAULT_DOMAIN, name
    if first in DEFAULT_NAMES:
        return DEFAULT_DOMAIN, rest if "/" in rest else f"library/{rest}"
    return first, rest


def is_tagged(name: str) -> bool:
    """Whether a name has a tag or a digest."""
    return "@" in name or ":" in name.rpartition("/")[2]


def canonical(name: str) -> str:
    """The whole name: `docker.io/library/busybox:latest`."""
    return "/".join(split_domain(name)) + ("" if is_tagged(name) else ":latest")


def server_of(address: str) -> str:
    """What credentials for a server are kept under: its domain, or the default index's address."""
    host = address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_INDEX if host in DEFAULT_NAMES else host
