"""The host `telnet-server`: Debian's telnetd behind a small launcher, and Debian's login."""
