"""The host `mail-server`: Dovecot, and what it needs at its start: accounts, passwords, certificates."""
