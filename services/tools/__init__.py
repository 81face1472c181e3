"""What runs in the helpers that capture and impair; never in a host of the lab."""
