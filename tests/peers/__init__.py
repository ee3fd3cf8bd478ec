"""The peers: other people's programs, which labkit is compared with, in two generations.

| generation | where it comes from |
|---|---|
| dockerd 20.10, podman 4.3, buildah 1.28 | the packages of Debian 12 |
| dockerd 26.1, podman 5.4, buildah 1.39 | the packages of Debian 13 |

On Debian 13 the second one is installed.  On an older system it runs from a folder, which
`make_root.sh` makes and `vagrant/provision.sh peers_root` keeps.  `bench.systems` finds both,
`bench.rooms` runs their programs in namespaces, and `bench.dockerd` starts a dockerd there: the
bench measures the same ones.

| part | what it is |
|---|---|
| `make_root.sh` | makes the folder |
| `clients` | the docker commands of both, and their plugins |
"""
