"""The accounts: which there are (a TOML file), their passwords, and the lines of Dovecot's passwd-file. No file is touched here.

[[account]]
address = "bob@lab.test"
quota = "10 MiB"
"""

import base64
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

# A part of what RFC 5321 section 4.1.2 allows: each part becomes a folder's name, so none begins with a dot or holds a slash.
_ADDRESS = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?@[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?")
_QUOTA = re.compile(r"([1-9][0-9]{0,8}) ?(KiB|MiB|GiB)")
_KEYS = {"address", "quota"}


@dataclass(frozen=True)
class Account:
    """A mailbox; `quota` in octets, None where there is no limit."""

    address: str
    quota: int | None = None


def read_accounts(text: str) -> tuple[Account, ...]:
    """Return the accounts of a TOML file.

    Raises:
        ValueError: it is no TOML, has no account, one is no address of small letters, stands twice, or has a quota without its unit.
    """
    try:
        entries = tomllib.loads(text).get("account", [])
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError("no [[account]] stands in it")
    accounts = tuple(_account(entry) for entry in entries)
    addresses = [account.address for account in accounts]
    for address in addresses:
        if addresses.count(address) > 1:
            raise ValueError(f"account `{address}` stands twice")
    return accounts


def _account(entry: object) -> Account:
    if not isinstance(entry, dict) or not entry.keys() <= _KEYS:
        raise ValueError(f"an account has an `address`, and perhaps a `quota`: {entry}")
    address, quota = entry.get("address"), entry.get("quota")
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address) or ".." in address:
        raise ValueError(f"`{address}` is not an address of small letters, digits, `.`, `_`, `-`")
    if quota is None:
        return Account(address)
    match = _QUOTA.fullmatch(quota) if isinstance(quota, str) else None
    if not match:
        raise ValueError(f'the quota of `{address}` is expected with its unit, such as "10 MiB", but it is `{quota}`')
    return Account(address, int(match[1]) << {"KiB": 10, "MiB": 20, "GiB": 30}[match[2]])


def complete_passwords(
    accounts: Iterable[Account], known: Mapping[str, str], make: Callable[[], str]
) -> dict[str, str]:
    """Return address → password: the known one, or a new one from `make`; who is no account any more is left out."""
    return {account.address: known.get(account.address) or make() for account in accounts}


def passwd_line(account: Account, password: str, salt: bytes) -> str:
    """Return an account's line of Dovecot's passwd-file, with its line end.

    SHA-512 with a salt is one round; that is enough for passwords of 96 random bits, and not for any that people choose.
    """
    digest = hashlib.sha512(password.encode() + salt).digest()
    secret = base64.b64encode(digest + salt).decode()
    limit = "" if account.quota is None else f"userdb_quota_storage_size={account.quota}B"
    return f"{account.address}:{{SSHA512}}{secret}::::::{limit}\n"
