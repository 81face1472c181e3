"""pyftpdlib as its documentation shows it: anonymous, one process, sendfile where it has it."""

import logging
import warnings

warnings.simplefilter("ignore")  # it stands on asyncore

from pyftpdlib.authorizers import DummyAuthorizer  # noqa: E402
from pyftpdlib.handlers import FTPHandler  # noqa: E402
from pyftpdlib.servers import FTPServer  # noqa: E402

logging.basicConfig(level=logging.ERROR)
users = DummyAuthorizer()
users.add_anonymous("/data", perm="elradfmw")
FTPHandler.authorizer = users
server = FTPServer(("::", 21), FTPHandler, backlog=1024)
server.max_cons = 1024
server.serve_forever()
