"""Checks of a program in a host's place, and points for many of them."""
