"""The system's apt sources, as tables: what is read of them, and which of them is Debian's archive."""

import pytest

from labctl.errors import EngineError
from labctl.provision.sources import Source, archive_of, debian_mirror, read_deb822, read_one_line, system_sources

BOOKWORM = {"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm"}
FORKY = {"ID": "debian", "VERSION_CODENAME": "forky"}
UBUNTU = {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_ID": "24.04", "VERSION_CODENAME": "noble"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN = Source("http://deb.example/debian", "bookworm", ("main",), KEYRING)


@pytest.fixture
def keyrings(tmp_path):
    (tmp_path / "debian-archive-keyring.gpg").touch()
    return tmp_path


class TestOneLine:
    @pytest.mark.parametrize(
        ("line", "source"),
        [
            ("deb http://a/debian bookworm main", Source("http://a/debian", "bookworm")),
            (
                "deb  http://a/debian\tbookworm  main contrib",
                Source("http://a/debian", "bookworm", ("main", "contrib")),
            ),
            ("deb [signed-by=/k.gpg] https://a x main", Source("https://a", "x", signed_by="/k.gpg")),
            ("deb [ arch=amd64 signed-by=/k.gpg ] https://a x main", Source("https://a", "x", signed_by="/k.gpg")),
            ("deb [trusted=yes] https://a x main # why", Source("https://a", "x")),
            ("deb [signed-by=ABCDEF0123] https://a x main", Source("https://a", "x")),
            ("deb http://a ./", Source("http://a", "./", ())),
        ],
    )
    def test_reads(self, line, source):
        assert list(read_one_line(line)) == [source]

    @pytest.mark.parametrize(
        "line", ["", "# deb http://a x main", "#deb http://a x main", "deb-src http://a x main", "deb"]
    )
    def test_leaves_out(self, line):
        assert list(read_one_line(line)) == []


class TestDeb822:
    STANZA = "Types: deb\nURIs: http://a/debian\nSuites: bookworm\nComponents: main\n"

    def test_each_address_and_suite_is_a_source(self):
        text = "Types: deb deb-src\nURIs: http://a http://b\nSuites: x x-updates\nComponents: main contrib\nSigned-By: /k.pgp\n"
        wanted = [
            Source(uri, suite, ("main", "contrib"), "/k.pgp")
            for uri in ("http://a", "http://b")
            for suite in ("x", "x-updates")
        ]
        assert list(read_deb822(text)) == wanted

    @pytest.mark.parametrize("off", ["Enabled: no", "enabled: No", "Enabled: false", "ENABLED: 0"])
    def test_what_is_switched_off_is_left_out(self, off):
        assert list(read_deb822(f"{off}\n{self.STANZA}\n{self.STANZA}")) == [Source("http://a/debian", "bookworm")]

    def test_sources_of_source_code_are_left_out(self):
        assert list(read_deb822(self.STANZA.replace("deb\n", "deb-src\n", 1))) == []

    def test_comments_and_continued_lines(self):
        text = "# mine\nTypes: deb\nURIs:\n http://a\n# and\n http://b\nSuites: x\nComponents: main\n"
        assert [source.uri for source in read_deb822(text)] == ["http://a", "http://b"]

    def test_a_key_in_the_stanza_is_no_path(self):
        text = f"{self.STANZA}Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY865\n -----END"
        assert list(read_deb822(text)) == [Source("http://a/debian", "bookworm")]

    @pytest.mark.parametrize("text", ["", "\n\n", "no field at all", " begins with a blank", "Types: deb\n"])
    def test_what_says_nothing_gives_nothing(self, text):
        assert list(read_deb822(text)) == []


class TestSystem:
    def test_both_styles_are_read_in_apts_order(self, tmp_path):
        parts = tmp_path / "sources.list.d"
        parts.mkdir()
        (tmp_path / "sources.list").write_text("deb http://1 x main\n")
        (parts / "b.list").write_text("deb http://3 x main\n")
        (parts / "a.list").write_text("deb http://2 x main\n")
        (parts / "c.sources").write_text("Types: deb\nURIs: http://4\nSuites: x\nComponents: main\n")
        (parts / "d.list.disabled").write_text("deb http://5 x main\n")
        assert [source.uri for source in system_sources(tmp_path)] == ["http://1", "http://2", "http://3", "http://4"]

    def test_none_at_all(self, tmp_path):
        assert system_sources(tmp_path) == []


class TestLine:
    """A source can be written again as apt reads it."""

    @pytest.mark.parametrize(
        "source", [DEBIAN, Source("http://a", "x", ("main", "contrib")), Source("http://a", "./", ())]
    )
    @pytest.mark.parametrize("arch", ["", "arm64"])
    def test_round_trip(self, source, arch):
        assert list(read_one_line(source.line(arch))) == [source]
        assert (f"arch={arch}" in source.line(arch)) == bool(arch)


class TestDebianMirror:
    OTHERS = (
        Source("https://dl.example/linux/chrome/deb/", "stable"),  # suites that sound like Debian's
        Source("https://apt.example", "stable", ("main",), "/etc/apt/keyrings/apt.gpg"),
        Source("https://pkgs.example/debian", "stable", ("main",), "/etc/apt/keyrings/pkgs.gpg"),
        Source("https://download.example/linux/debian", "bookworm", ("stable",), "/etc/apt/keyrings/docker.asc"),
        Source("http://deb.example/debian-security", "bookworm-security", ("main",), KEYRING),
        Source("cdrom:[Debian GNU/Linux 12]/", "bookworm"),
        Source("http://deb.example/debian", "bookworm-backports", ("main",), KEYRING),
    )

    @pytest.mark.parametrize("other", OTHERS, ids=lambda source: source.uri)
    def test_is_not_taken_for_debians(self, other, keyrings):
        assert debian_mirror([other, DEBIAN], BOOKWORM, {}, keyrings) == DEBIAN
        with pytest.raises(EngineError, match="name no Debian archive") as caught:
            debian_mirror([other], BOOKWORM, {}, keyrings)
        assert "LABCTL_DEBIAN_MIRROR" in caught.value.hint
        assert caught.value.code == 3

    def test_without_a_keyring_of_its_own_debians_verifies(self, keyrings):
        found = debian_mirror(
            [Source("http://mirror.corp/debian/", "bookworm", ("main", "contrib"))], BOOKWORM, {}, keyrings
        )
        assert found == Source(
            "http://mirror.corp/debian/", "bookworm", ("main",), str(keyrings / "debian-archive-keyring.gpg")
        )

    def test_a_mirror_with_a_key_of_its_own(self, keyrings):
        corp = Source("https://mirror.corp/debian", "bookworm", ("main",), "/etc/apt/keyrings/corp.gpg")
        assert debian_mirror([corp], BOOKWORM, {}, keyrings) == corp

    @pytest.mark.parametrize("suite", ["testing", "forky"])
    def test_testing_keeps_the_name_that_the_system_uses(self, suite, keyrings):
        found = debian_mirror([Source("http://a/debian", suite, ("main",), KEYRING)], FORKY, {}, keyrings)
        assert found.suite == suite

    def test_a_list_of_mirrors_stands_for_its_first(self, tmp_path, keyrings):
        """Debian's images for clouds name a file of mirrors."""
        (tmp_path / "debian.list").write_text("# ours\nhttps://cdn.example/debian\tpriority:1\nhttps://b/debian\n")
        cloud = Source(f"mirror+file://{tmp_path}/debian.list", "bookworm", ("main",), KEYRING)
        assert debian_mirror([cloud], BOOKWORM, {}, keyrings).uri == "https://cdn.example/debian"

    def test_the_environment_overrules(self, keyrings):
        environ = {"LABCTL_DEBIAN_MIRROR": "http://here/debian"}
        assert debian_mirror([DEBIAN], BOOKWORM, environ, keyrings).uri == "http://here/debian"
        assert debian_mirror([], UBUNTU, environ, keyrings).uri == "http://here/debian"

    def test_ubuntu_has_none(self, keyrings):
        with pytest.raises(EngineError) as caught:
            debian_mirror([DEBIAN], UBUNTU, {}, keyrings)
        assert "debian-archive-keyring" in caught.value.hint

    def test_nothing_is_used_that_no_keyring_verifies(self, tmp_path):
        with pytest.raises(EngineError, match="no keyring"):
            debian_mirror([], UBUNTU, {"LABCTL_DEBIAN_MIRROR": "http://here/debian"}, tmp_path)


def test_archive_of_a_release_is_its_suites_with_the_component():
    listed = [
        Source("http://a", suite, ("main", "universe"))
        for suite in ("noble", "noble-updates", "noble-backports", "jammy")
    ]
    listed.append(Source("https://download.example/linux/ubuntu", "noble", ("stable",)))
    assert archive_of(listed, "noble", "universe") == [
        Source("http://a", "noble", ("universe",)),
        Source("http://a", "noble-updates", ("universe",)),
    ]
