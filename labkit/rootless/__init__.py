"""The engine without root: its namespaces, and the parts of it outside of them.

An ordinary user may make a user namespace and is root in it, with mounts and a network inside
(user_namespaces(7)).  labkitd does this if it has no power over the machine, and then works as it
does with root: only `entering` differs, at its start.

ids      the users of the namespace: the caller as its root, and the caller's subordinate ids
holder   the process that keeps the namespaces while containers run, even when labkitd restarts;
         it stays in the machine's network, and opens published ports there
cable    the connection of the namespaces' network with the machine's: pasta, or slirp4netns
watch    the watch that ends labkitd with the holder, since without it no port can be published
outside  the connections that labkitd itself needs, made in the machine's network
traces   the notes from which a later labkitd finds all of this again
entering making the namespaces, or finding the existing ones, and becoming root in them

`python -m labkit.rootless COMMAND…` runs a command inside.
"""
