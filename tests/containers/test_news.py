"""The host `news-server`: INN without root, read and posted to by three clients, and hard to end."""

import json
import shlex
import time
from pathlib import Path

import docker
import pytest

from tests.containers.strangers import stranger

FUZZ = Path(__file__).with_name("fuzz.py")


class News:
    """A lab with news-server; `lab(…)` runs a shell line on its client."""

    def __init__(self, labctl, name):
        self.labctl, self.name = labctl, name
        self.engine = docker.from_env()
        self.server = self.engine.containers.get(f"lab-{name}-news-server-1")
        self.client = self.engine.containers.get(f"lab-{name}-client-1")

    def __call__(self, script, code=0):
        done = self.client.exec_run(["timeout", "60", "bash", "-c", script])
        assert done.exit_code == code, done.output.decode(errors="replace")
        return done.output.decode()

    def inside(self, script):
        done = self.server.exec_run(["bash", "-c", script])
        assert done.exit_code == 0, done.output.decode(errors="replace")
        return done.output.decode()

    def log(self):
        return self.server.logs().decode(errors="replace")


@pytest.fixture(scope="module")
def news(module_labctl):
    name = module_labctl.name("news")
    module_labctl("up", "news-demo", "--lab", name)
    lab = News(module_labctl, name)
    yield lab
    lab.engine.close()


@pytest.fixture(scope="module")
def other(news):
    with stranger(news.name) as run:
        yield run


class TestPrivileges:
    def test_every_process_is_the_user_news_without_a_capability(self, news):
        said = news.inside("cat /proc/[0-9]*/status | grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' | sort -u").split("\n")
        assert [" ".join(line.split()) for line in said if line] == [
            "CapBnd: 0000000000000000", "CapEff: 0000000000000000", "NoNewPrivs: 1", "Uid: 9 9 9 9",
        ]  # fmt: skip

    def test_nothing_but_the_spool_and_tmp_can_be_written(self, news):
        assert news.inside("touch /etc/news/x /usr/lib/news/x 2>&1 | grep -c Read-only; true").strip() == "2"

    def test_inn_finds_nothing_wrong_with_its_files(self, news):
        """What it would complain of in its log, at each start or each reader."""
        news("lab news groups news-server")
        assert "cannot" not in news.log().lower()


class TestForeignClients:
    def test_tin_reads_what_lab_news_posted(self, news, other):
        news("lab news post news-server lab.announce --subject 'For tin' --text 'read by a stranger'")
        said = other(
            "export HOME=$(mktemp -d); cd; echo lab.announce: > .newsrc; rtin -g news-server -Q -v -S; cat News/lab/announce/*",
            code=None,
        )
        assert "For tin" in said
        assert "read by a stranger" in said

    def test_slrnpull_posts_and_fetches(self, news, other):
        other(
            "d=$(mktemp -d); mkdir -p $d/out.going; printf 'default 10 0\\nlab.protocols\\n' > $d/slrnpull.conf\n"
            "printf 'From: sl@lab.test\\nSubject: By slrnpull\\nNewsgroups: lab.chat\\n\\nhello\\n' > $d/out.going/X1\n"
            "slrnpull -d $d -h news-server && grep -q 'GROUP lab.protocols' $d/news/lab/protocols/1"
        )
        assert "By slrnpull" in news("lab news list news-server lab.chat")

    def test_over_ipv6_too(self, news):
        assert "lab.test" in news("lab news groups -6 news-server")


class TestArticles:
    def test_a_cross_posted_article_is_one_article(self, news):
        given = news("lab news post news-server lab.test,lab.chat --subject Crossed --text once").strip()
        assert given in news("lab news list news-server lab.test")
        assert given in news("lab news list news-server lab.chat")
        assert news("lab news newnews news-server 'lab.*' --since 1m").split().count(given) == 1

    def test_what_was_posted_comes_back_octet_for_octet(self, news):
        text = ".\n..\n.x\nGrüße, ..\n\n \n"
        given = news(f"printf %s {shlex.quote(text)} | lab news post news-server lab.test --subject Dots").strip()
        assert news(f"lab news read news-server '{given}' --body") == text

    def test_an_article_has_its_message_id_once(self, news):
        """RFC 5537 section 3.5: what was seen is not taken again."""
        article = "From: a@lab.test\\r\\nNewsgroups: lab.test\\r\\nSubject: s\\r\\nMessage-ID: <once@lab.test>\\r\\n\\r\\nx\\r\\n.\\r\\n"
        script = f"(printf 'POST\\r\\n'; sleep 0.3; printf '{article}'; sleep 0.3; printf 'QUIT\\r\\n') | nc -q 2 news-server 119"
        assert "\n240 " in news(script)
        assert "\n441 435 Duplicate" in news(script)

    def test_articles_outlive_a_killed_server(self, news):
        given = news("lab news post news-server lab.test --subject Survivor --text x").strip()
        news.server.kill()
        news.server.start()
        news("lab wait news-server:119")
        assert given in news("lab news list news-server lab.test")
        assert "Welcome" in news("lab news list news-server lab.announce")
        after = news("lab news post news-server lab.test --subject After --text x").strip()
        assert after in news("lab news list news-server lab.test")


class TestHostile:
    def test_a_group_named_twice_is_refused_and_innd_lives(self, news):
        """Without filter_innd.pl this ends innd 2.7.3 by SIGSEGV."""
        groups = ",".join(["lab.test"] * 40)
        said = news(f"lab news post news-server {groups} --subject Many --text x", code=1)
        assert "names a group twice" in said
        assert "lab.test" in news("lab news groups news-server")

    def test_control_messages_do_nothing(self, news):
        """Neither a group is made, nor somebody else's article cancelled (RFC 5537 section 5)."""
        given = news("lab news post news-server lab.test --subject Keep --text x").strip()
        for control in ("newgroup lab.forged", "rmgroup lab.chat", f"cancel {given}"):
            lines = (
                "From: a@lab.test",
                "Newsgroups: lab.test",
                f"Subject: cmsg {control}",
                f"Control: {control}",
                "Approved: x",
                "",
                "x",
                ".",
            )
            article = "".join(f"{line}\\r\\n" for line in lines)
            news(
                f"(printf 'POST\\r\\n'; sleep 0.3; printf '{article}'; sleep 0.3; printf 'QUIT\\r\\n') | nc -q 2 news-server 119"
            )
        groups = news("lab news groups news-server")
        assert "lab.forged" not in groups
        assert "lab.chat" in groups
        assert given in news("lab news list news-server lab.test")

    def test_names_cannot_leave_the_spool(self, news):
        said = news(
            "printf 'GROUP ../../etc\\r\\nARTICLE ../../db/active\\r\\nLIST MOTD ../x\\r\\nQUIT\\r\\n' | nc -q 2 news-server 119"
        )
        assert "control" not in said
        assert "\n411 " in said

    def test_ten_thousand_hostile_sessions(self, news):
        started = news.server.attrs["State"]["StartedAt"]
        began = time.monotonic()
        done = news.labctl(
            "exec", "-i", "--lab", news.name, "client", "--", "python3", "-", "nntp", "news-server", "119", "--sessions", "10000",
            "--seconds", "420", stdin=FUZZ.read_bytes(),
        )  # fmt: skip
        facts = json.loads(done.stdout)
        assert facts["done"] == 10_000, facts
        assert facts["refused"] == 0, facts
        assert facts["answered"] > 5_000, facts
        assert time.monotonic() - began < 450
        news.server.reload()
        assert news.server.attrs["State"]["Running"]
        assert news.server.attrs["State"]["StartedAt"] >= started
        assert not news.server.attrs["State"]["OOMKilled"]
        assert "lab.test" in news("lab news groups news-server")
        assert news.server.stats(stream=False)["memory_stats"]["usage"] < 100 << 20
