"""Which certificates a client trusts.

Reading a machine's roots takes tens of milliseconds of CPU: they are read once a process, not for
each client, and by nobody who speaks plain HTTP.
"""

import functools
import ssl


@functools.cache
def roots(*, trust_env: bool = False) -> ssl.SSLContext:
    """The machine's roots. Call it in a thread: the first call blocks while it reads.

    `trust_env`: `SSL_CERT_FILE` and `SSL_CERT_DIR` say which.
    """
    import httpx2

    return httpx2.create_ssl_context(trust_env=trust_env)


@functools.cache
def nobody() -> ssl.SSLContext:
    """Trusts no certificate, for what is never encrypted."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def of(url: str, *, trust_env: bool = False) -> ssl.SSLContext:
    """What is needed for that address."""
    return nobody() if url.startswith("http://") else roots(trust_env=trust_env)
