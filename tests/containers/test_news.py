"""The host `news-server`: INN without root, read and posted to by three clients, and hard to end."""

import shlex
import subprocess

import pytest


class News:
    """A lab with news-server; called with a shell line, it runs that on the client, and returns both streams."""

    def __init__(self, lab):
        self.lab = lab

    def __call__(self, script, code=0):
        done = self.lab("client", "timeout", "60", "bash", "-c", script, code=code)
        return done.stdout + done.stderr

    def inside(self, script):
        return self.lab.sh(script, "news-server")

    def engine(self, verb):
        subprocess.run(["docker", verb, f"lab-{self.lab.lab}-news-server-1"], check=True, capture_output=True)


@pytest.fixture(scope="module")
def news(up):
    return News(up("news-demo"))


@pytest.fixture
def other(news, stranger):
    """Run a shell line with other people's clients."""
    return lambda script, code=0: stranger(news.lab.lab, script, code)


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
        assert "cannot" not in news.lab.logs("news-server").lower()


class TestForeignClients:
    def test_tin_reads_what_lab_news_posted(self, news, other):
        news("lab news post news-server lab.announce --subject 'For tin' --text 'read by a stranger'")
        said = other(
            "export TERM=vt100 HOME=$(mktemp -d); cd; echo lab.announce: > .newsrc; rtin -g news-server -Q -v -S; cat News/lab/announce/*",
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
        script = f"(printf 'POST\\r\\n'; sleep 0.3; printf '{article}'; sleep 0.3; printf 'QUIT\\r\\n') | nc -N news-server 119"
        assert "\n240 " in news(script)
        assert "\n441 435 Duplicate" in news(script)

    def test_articles_outlive_a_killed_server(self, news):
        given = news("lab news post news-server lab.test --subject Survivor --text x").strip()
        news.engine("kill")
        news.engine("start")
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
                f"(printf 'POST\\r\\n'; sleep 0.3; printf '{article}'; sleep 0.3; printf 'QUIT\\r\\n') | nc -N news-server 119"
            )
        groups = news("lab news groups news-server")
        assert "lab.forged" not in groups
        assert "lab.chat" in groups
        assert given in news("lab news list news-server lab.test")

    def test_names_cannot_leave_the_spool(self, news):
        said = news(
            "printf 'GROUP ../../etc\\r\\nARTICLE ../../db/active\\r\\nLIST MOTD ../x\\r\\nQUIT\\r\\n' | nc -N news-server 119"
        )
        assert "control" not in said
        assert "\n411 " in said

    def test_hostile_sessions(self, news):
        before = news.lab.container("news-server")["State"]["StartedAt"]
        told = news.lab.fuzz("nntp", "news-server", 119)
        assert told["answered"] > 0.8 * told["done"], told
        assert "lab.test" in news("lab news groups news-server")
        state = news.lab.container("news-server")
        assert (state["State"]["StartedAt"], state["RestartCount"]) == (before, 0)
        assert "signal 11" not in news.lab.logs("news-server")
        assert news.lab.busy("news-server") < 0.3, "it works on something, and nobody asked"
