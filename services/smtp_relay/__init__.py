"""The host `smtp-relay`: mail in by SMTP, kept in a durable queue, out by SMTP or LMTP."""
