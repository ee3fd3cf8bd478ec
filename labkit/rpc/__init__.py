"""Remote calls over HTTP/2, in the form of gRPC: on either side of any connection, and no policy.

| module | what it does |
|---|---|
| `wire` | encodes messages as bytes, like protocol buffers |
| `connection` | holds one HTTP/2 connection: many streams of bytes in both directions |
| `calls` | makes and answers calls: messages both ways, and a status |
| `serving` | finds the handler of a call |
| `tunnel` | carries another connection in a call |

The library h2 handles HTTP/2's frames: it knows the protocol's rules and its attacks, and opens no
socket.  This package adds the rest: threads, flow control, deadlines.
"""
