"""The host `tcp-server`: a greeting, a two-way chat, and the small services of RFC 862 to 868 over TCP."""
