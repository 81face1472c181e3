"""The proxy: faults of the application, put into the conversations of one host with its clients."""
