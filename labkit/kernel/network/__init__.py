"""The kernel's network through netlink messages: links, addresses, rules, and notices."""
