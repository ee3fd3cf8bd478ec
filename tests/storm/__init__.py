"""A storm: thousands of random operations while daemons, spawners and shims are killed.

    make test-storm            # or: python -m tests.storm --operations 20000 --seed 1

Clients work on one engine, each on containers, volumes and networks of its own, and know what must
be there (`clients`).  Meanwhile the weather kills processes, fills the disk, and does the same to a
second engine beside (`weather`).  At the end nothing is lost and nothing is left (`checks`).
"""
