"""The host `ftp-server`: pyftpdlib, configured for the lab.

- `accounts`: who may log in, and with which password
- `seed`: the files of a new volume
- `files`: what of the file system a client may reach
- `session`: one control connection, and the lab's own rules for it
- `server`: the process
"""
