"""`labctl`, and `python -m labctl` where another program of that name is first on PATH."""

import sys


def main() -> None:
    """Run the command line; exits with 0, 1, 2, 3 or 130 as docs/architecture.md says."""
    from labctl.cli.app import run_cli

    sys.exit(run_cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
