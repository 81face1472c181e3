"""What crossed the wire: captures read and written, packets, conversations, and ladders drawn of them. No sockets, no engine."""
