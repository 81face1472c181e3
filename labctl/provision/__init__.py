"""What makes labctl work on a fresh machine: Compose v2, the base image, the engine itself, each from Debian's or Ubuntu's packages."""
