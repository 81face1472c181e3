"""The host `mail-server`'s own part: accounts, passwords and what is written for Dovecot."""

import base64
import hashlib
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.mail.accounts import Account, complete_passwords, passwd_line, read_accounts
from services.mail.prepare import prepare

ROOT = Path(__file__).parents[2]
OWN = ROOT / "services/mail/accounts.toml"
ONE = '[[account]]\naddress = "%s"\n'


class TestAccounts:
    def test_the_labs_own(self):
        assert read_accounts(OWN.read_text()) == (Account("alice@lab.test"), Account("bob@lab.test", 10 << 20))

    @pytest.mark.parametrize(("text", "octets"), [("1 KiB", 1024), ("20MiB", 20 << 20), ("3 GiB", 3 << 30)])
    def test_quotas_have_units(self, text, octets):
        (account,) = read_accounts(ONE % "a@b" + f'quota = "{text}"')
        assert account.quota == octets

    @pytest.mark.parametrize(
        "text",
        ["", "account = 1", "[[account]]", "not toml", ONE % "bob", ONE % "../x@lab.test", ONE % "a/b@lab.test", ONE % ".a@lab.test",
         ONE % "Bob@lab.test", ONE % "a b@lab.test", ONE % "a..b@lab.test", ONE % "a:b@lab.test", ONE % ("a" * 65 + "@lab.test"),
         ONE % "a\\n@b", ONE % "a@b" + 'quota = "10"', ONE % "a@b" + "quota = 10", ONE % "a@b" + 'quota = "0 MiB"',
         ONE % "a@b" + 'color = "red"', ONE % "a@b" + ONE % "a@b", "account = []", "account = [1]"],
    )  # fmt: skip
    def test_what_is_wrong_is_told(self, text):
        with pytest.raises(ValueError, match=r"\w"):
            read_accounts(text)


class TestPasswords:
    def test_known_ones_stay_and_new_ones_are_made_and_old_accounts_go(self):
        accounts = [Account("a@x"), Account("b@x")]
        assert complete_passwords(accounts, {"a@x": "old", "gone@x": "y"}, lambda: "new") == {
            "a@x": "old",
            "b@x": "new",
        }

    def test_a_line_holds_a_salted_digest_and_never_the_password(self):
        line = passwd_line(Account("bob@lab.test", 2048), "secret", b"0123456789abcdef")
        user, secret, *_, extra = line.rstrip("\n").split(":")
        assert (user, extra) == ("bob@lab.test", "userdb_quota_storage_size=2048B")
        octets = base64.b64decode(secret.removeprefix("{SSHA512}"))
        assert octets == hashlib.sha512(b"secret0123456789abcdef").digest() + b"0123456789abcdef"
        assert "secret" not in line.replace("{SSHA512}", "")
        assert line.count(":") == 7  # as passwd(5) has it, with the extra fields behind


class TestPrepare:
    @pytest.fixture
    def folders(self, tmp_path):
        mail, handouts = tmp_path / "mail", tmp_path / "handouts"
        mail.mkdir()
        handouts.mkdir()
        return mail, handouts

    def test_passwords_are_made_once_and_handed_out(self, folders):
        mail, handouts = folders
        prepare(OWN, mail, handouts)
        first = json.loads((mail / "credentials.json").read_text())
        assert set(first) == {"alice@lab.test", "bob@lab.test"}
        assert len({*first.values()}) == 2
        assert all(len(password) >= 16 for password in first.values())
        assert json.loads((handouts / "mail.json").read_text()) == first
        prepare(OWN, mail, handouts)
        assert json.loads((mail / "credentials.json").read_text()) == first

    def test_two_labs_have_other_passwords(self, tmp_path):
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            prepare(OWN, tmp_path / name, tmp_path / "none")
        assert (tmp_path / "one/credentials.json").read_text() != (tmp_path / "two/credentials.json").read_text()

    def test_only_their_owner_may_read_them_and_nothing_half_is_left(self, folders):
        mail, handouts = folders
        (mail / ".credentials.json.new").write_text("left by a kill")
        prepare(OWN, mail, handouts)
        files = [path for folder in folders for path in folder.iterdir()]
        assert sorted(path.name for path in files) == ["credentials.json", "mail.json", "users"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}

    def test_wrong_accounts_are_refused_and_what_was_there_stays(self, folders, tmp_path):
        mail, handouts = folders
        prepare(OWN, mail, handouts)
        before = (mail / "users").read_text()
        wrong = tmp_path / "accounts.toml"
        wrong.write_text(ONE % "../bob@lab.test")
        argv = ["--prepare", "--accounts", wrong, "--mail", mail, "--handouts", handouts]
        done = subprocess.run(
            [sys.executable, "-m", "services.mail", *argv], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "`../bob@lab.test` is not an address" in done.stderr
        assert str(wrong) in done.stderr
        assert (mail / "users").read_text() == before
