"""Files by the lab's own protocol: list, fetch, store; a transfer that was cancelled is resumed where it ended."""

from pathlib import Path

from services.client.file_client import FileClient
from services.desktop.model import in_octets
from services.desktop.worker import Job, Work, in_thread


def listing(host: str, port: int) -> Work:
    """Return the job that lists a server's files."""

    def ask(job: Job) -> str:
        with FileClient(host, port) as files:
            entries = tuple(files.list())
        job.learn("listing", entries)
        total = sum(entry.size for entry in entries)
        return f"{len(entries)} file{'s' * (len(entries) != 1)}, {in_octets(total)}"

    return lambda job: in_thread(ask, job)


def download(host: str, port: int, name: str, path: Path, *, resume: bool) -> Work:
    """Return the job that fetches a file; `resume` goes on with what a cancelled download left."""

    def fetch(job: Job) -> str:
        with FileClient(host, port) as files:
            moved = files.download(name, path, resume=resume, progress=job.progress)
        began = f", resumed at {in_octets(moved.offset)}" if moved.offset else ""
        job.say("received", f"{name} → {path}: {moved.size} octets{began}", f"SHA-256 {moved.digest}, as on the server")
        return f"{name} is in {path}: {in_octets(moved.size)}{began}"

    return lambda job: in_thread(fetch, job)


def upload(host: str, port: int, path: Path, name: str, *, resume: bool) -> Work:
    """Return the job that stores a file, and lists the files anew."""

    def store(job: Job) -> str:
        with FileClient(host, port) as files:
            moved = files.upload(path, name, resume=resume, progress=job.progress)
            job.learn("listing", tuple(files.list()))
        began = f", resumed at {in_octets(moved.offset)}" if moved.offset else ""
        job.say("sent", f"{path} → {name}: {moved.size} octets{began}", f"SHA-256 {moved.digest}, as on the server")
        return f"{name} is on {host}: {in_octets(moved.size)}{began}"

    return lambda job: in_thread(store, job)


def delete(host: str, port: int, name: str) -> Work:
    """Return the job that removes a file from the server, and lists the files anew."""

    def remove(job: Job) -> str:
        with FileClient(host, port) as files:
            files.delete(name)
            job.learn("listing", tuple(files.list()))
        job.say("note", f"{name} was deleted on {host}")
        return f"{name} is gone"

    return lambda job: in_thread(remove, job)
