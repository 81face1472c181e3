"""The host `udp-server`: a greeting and the small services of RFC 862 to 868 over UDP."""
