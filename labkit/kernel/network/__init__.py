"""The kernel's network by its own messages: links, addresses, rules, and what they report."""
