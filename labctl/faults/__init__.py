"""What is broken on purpose: read here, done by the engine."""
