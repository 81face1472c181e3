"""The host `rpc-server`: procedures called over HTTP, by XML-RPC."""
