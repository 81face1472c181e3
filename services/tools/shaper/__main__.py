"""`python3 -m services.tools.shaper HOST ADDRESS…`: serve the faults of the host whose network namespace this is."""

import sys

from services.tools.shaper.plumbing import PlumbingError
from services.tools.shaper.supervisor import Supervisor, say, serve

if __name__ == "__main__":
    try:
        supervisor = Supervisor(sys.argv[1], sys.argv[2:])
    except PlumbingError as error:
        say({"error": str(error)})
        sys.exit(1)
    serve(supervisor)
