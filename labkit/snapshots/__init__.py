"""Snapshots: how a data root keeps images' layers, and gives each container its own files.

There are three storage drivers; a data root has one for its whole life:

overlayfs   layers and one writable layer, united by the kernel; costs next to nothing
loop        the same within an ext4 file system of labkit's own, in one sparse file behind a loop
            device: for data roots that are an overlay themselves, as in a container
copies      each layer is a whole tree, and each container gets a copy: works everywhere, and
            costs the time and the space of the image at each container's first start

`root` chooses a driver and opens a data root with it; `snapshotter` is the interface of a driver,
in the terms of containerd's snapshotters: prepare, view, mounts, usage.
"""

from labkit.snapshots.root import Storage, opened
from labkit.snapshots.snapshotter import Copies, Snapshotter, Union, of

__all__ = ["Copies", "Snapshotter", "Storage", "Union", "of", "opened"]
