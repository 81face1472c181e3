"""What the jobs do on the network: coroutines that take a `Job`, speak to a host, and return one line about what came of it."""
