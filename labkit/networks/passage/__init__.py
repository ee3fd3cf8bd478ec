"""Ways through the firewalls of other programs: Docker's, ufw's, firewalld's, an administrator's.

Each of them may drop packets that the kernel forwards, and an accept in labkit's own table does not
prevent that.  So labkit looks for every chain at that hook that drops packets.  There it puts a
rule, in the way the firewall provides for, that jumps to a chain of labkit's (`ways` says which
packets that accepts).

| at the hook                   | the way                                                  |
|-------------------------------|----------------------------------------------------------|
| Docker's iptables             | its chain DOCKER-USER                                    |
| ufw                           | its chain for route rules, ufw-user-forward              |
| iptables otherwise            | FORWARD, after all rules but the one that drops the rest |
| firewalld                     | its zone `trusted`                                       |
| a table written for nft       | its base chain, after all rules but the one that drops   |
"""

from labkit.networks.passage.passage import Obstacle, Passage, obstacles

__all__ = ["Obstacle", "Passage", "obstacles"]
