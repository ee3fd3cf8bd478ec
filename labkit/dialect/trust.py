"""The certificates of servers that are trusted: those that Docker trusts."""

import ssl


def of_the_system() -> ssl.SSLContext:
    """Return a context for clients with the system's authorities, as strict as Go's.

    From Python 3.13 on the default refuses authorities without the extension keyUsage, which
    `openssl req -x509` does not add (RFC 5280, section 4.2.1.3). Before that it refuses a trusted
    authority that is not a root. Docker accepts both.
    """
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
