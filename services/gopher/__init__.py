"""The host `gopher-server`: gophernicus, fed by a listener of the lab's; and the protocol itself, for the client and the search.

- `protocol`: RFC 1436 and RFC 4266, pure
- `search`: the search item's program, which gophernicus runs
- `server`: accepts connections and gives each to a gophernicus of its own
"""
