"""The engine without root: its namespaces, and what it keeps outside of them.

An ordinary user may make a user namespace, and is root in there: with mounts and a network of its
own (user_namespaces(7)).  labkitd does so when it lacks the power over the machine, and goes on in
there as it does with root: `entering` is all that differs at its start.

ids      which users the namespace has: the caller as its root, and the caller's subordinate ids
holder   the process that keeps the namespaces while containers run, also when labkitd is restarted;
         it stays in the network of the machine, and opens published ports there
cable    what connects the namespaces' network with the machine's: pasta, or slirp4netns
watch    labkitd's eye on the holder, without which no port can be published
outside  the connections that labkitd itself needs, made in the machine's network
traces   what is written down, so that a labkitd that starts later finds all this again
entering making the namespaces, or finding those that are there, and becoming root in them

`python -m labkit.rootless COMMAND…` runs a command in there.
"""
