"""Fetch files the simple way, run in the client's container: a connection for each, one after the other. HOST FOLDER MOST"""

import sys
from pathlib import Path

sys.path.insert(0, "/app")

from services.client.file_client import FileClient

host, folder, most = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
folder.mkdir()
with FileClient(host) as lister:
    entries = lister.list()
for entry in entries[:most]:
    with FileClient(host) as client:
        client.download(entry.name, folder / entry.name)
