"""Remote calls over HTTP/2, as gRPC makes them: on either side of any connection, and no policy.

| module | what it does |
|---|---|
| `wire` | messages as bytes: protocol buffers' encoding |
| `connection` | one HTTP/2 connection: many streams of bytes in both directions |
| `calls` | a call: messages one way, messages the other way, and a status |
| `serving` | which handler takes a call |
| `tunnel` | a call that carries another connection |

HTTP/2's frames are the library h2's, which knows the protocol's rules and its attacks, and opens no
socket.  What is here is the rest: threads, flow control, deadlines.
"""
