"""labctl: a network-protocol lab in containers."""

__version__ = "0.1.0"
