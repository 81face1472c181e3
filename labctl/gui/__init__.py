"""The ways by which the window in the `desktop` container reaches a screen: X relay, ssh, X socket, browser."""
