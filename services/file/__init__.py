"""The host `file-server`: files over a small text protocol of the lab's own."""
