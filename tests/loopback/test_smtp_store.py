"""The queue on disk, and the thread that writes it."""

import asyncio
import sqlite3
import threading

import pytest

from services.smtp_relay.store import Due, NewMessage, Release, Settlement, Store, connect, spool_path
from services.smtp_relay.writer import Writer


def message(number, *recipients, body=b"text", arrived=100.0):
    to = {address: address.rpartition("@")[2] for address in recipients or ("b@lab.test",)}
    return NewMessage(number, "a@lab.test", to, arrived, 4, False, False, b"top", body)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


class TestStore:
    def test_what_is_committed_another_process_sees(self, store, tmp_path):
        before = store.outside_changes()
        store.commit([message(1, "b@lab.test", "c@other.test")])
        db = connect(tmp_path)
        assert db.execute("SELECT address FROM recipients ORDER BY n").fetchall() == [
            ("b@lab.test",),
            ("c@other.test",),
        ]
        assert store.outside_changes() == before
        db.execute("UPDATE recipients SET held = 1")
        db.close()
        assert store.outside_changes() != before

    def test_a_commit_is_whole_or_not_at_all(self, store):
        store.commit([message(1)])
        with pytest.raises(sqlite3.IntegrityError):
            store.commit([message(2), message(1)])
        assert store.message(2) is None
        assert store.due("lab.test", 200, 10) == [Due(1, 0, "b@lab.test", "lab.test", 0)]
        store.commit([message(2)])
        assert store.message(2).top == b"top"

    def test_a_message_goes_with_its_last_recipient(self, store):
        store.commit([message(1, "b@lab.test", "c@lab.test")])
        store.commit([Settlement(1, gone=(0,))])
        assert store.body(1) == b"text"
        store.commit([Settlement(1, gone=(1,))])
        assert (store.message(1), store.body(1), store.next_due(["lab.test"])) == (None, None, None)

    def test_a_texts_file_goes_with_it_and_not_before(self, store, tmp_path):
        spool_path(tmp_path, 7).write_bytes(b"big")
        store.commit([message(7, "b@lab.test", "c@lab.test", body=None)])
        store.commit([Settlement(7, gone=(0,))])
        assert spool_path(tmp_path, 7).exists()
        store.commit([Settlement(7, gone=(1,))])
        assert not spool_path(tmp_path, 7).exists()

    def test_files_that_no_message_names_go_at_start(self, tmp_path):
        store = Store(tmp_path)
        for number in (7, 8):
            spool_path(tmp_path, number).write_bytes(b"big")
        store.commit([message(7, body=None)])
        store.close()
        again = Store(tmp_path)
        assert [path.name for path in (tmp_path / "spool").iterdir()] == ["7"]
        assert again.last_id == 7
        again.close()

    def test_a_report_comes_in_the_same_commit_as_the_failure(self, store):
        store.commit([message(1)])
        with pytest.raises(sqlite3.IntegrityError):
            store.commit([Settlement(1, gone=(0,), report=message(1, "a@lab.test"))])
        assert store.message(1) is not None
        store.commit([Settlement(1, gone=(0,), report=message(2, "a@lab.test"))])
        assert (store.message(1), store.message(2).id) == (None, 2)

    def test_the_longest_due_comes_first_and_what_is_held_or_later_does_not(self, store):
        store.commit(
            [
                message(1, arrived=30),
                message(2, arrived=10),
                message(3, arrived=99),
                message(4, "x@other.test", arrived=1),
            ]
        )
        store._writer.execute("UPDATE recipients SET held = 1 WHERE message = 1")
        assert [due.message for due in store.due("lab.test", 50, 10)] == [2]
        assert store.next_due(["lab.test", "other.test"]) == 1
        assert sorted(store.domains()) == ["lab.test", "other.test"]

    def test_a_destination_that_is_back_has_its_mail_due_at_once(self, store):
        store.commit([message(1), message(2)])
        store.commit([Settlement(1, deferred=((1, 900.0, True, "421 no answer", 0),))])
        store.commit([Settlement(2, deferred=((1, 900.0, False, "451 later", 0),))])
        store.commit([Release(("lab.test",), 500.0)])
        assert [due.message for due in store.due("lab.test", 600, 10)] == [1]

    def test_many_rows_in_one_commit(self, store):
        store.commit([message(n, *(f"u{m}@lab.test" for m in range(7))) for n in range(1, 301)])
        assert len(store.due("lab.test", 200, 10_000)) == 2100
        store.commit([Settlement(n, gone=tuple(range(7))) for n in range(1, 301)])
        assert store.domains() == []


class TestWriter:
    """Group commit."""

    def run(self, store, work):
        async def main():
            outside = asyncio.Event()
            writer = Writer(store, outside.set)
            try:
                return await work(writer, outside)
            finally:
                await writer.stop()

        return asyncio.run(main())

    def test_one_commit_serves_all_that_wait_and_none_is_told_before_it(self, store, monkeypatch):
        commits, gate, told = [], threading.Event(), []
        commit = Store.commit

        def slow(self, changes):
            commits.append(len(changes))
            assert gate.wait(10)
            commit(self, changes)

        monkeypatch.setattr(Store, "commit", slow)

        async def work(writer, _):
            everything = asyncio.get_running_loop().create_future()

            def done(number):
                def tell(error):
                    told.append((number, error))
                    if len(told) == 50:
                        everything.set_result(None)

                return tell

            for number in range(1, 51):
                writer.submit(message(number), done(number))
            while not commits:
                await asyncio.sleep(0.01)
            assert told == []
            gate.set()
            await asyncio.wait_for(everything, 10)

        self.run(store, work)
        assert told == [(number, None) for number in range(1, 51)]
        assert sum(commits) == 50
        assert len(commits) <= 2
        assert len(store.due("lab.test", 200, 100)) == 50

    def test_an_error_is_told_to_all_of_the_commit_and_the_next_goes_on(self, store):
        store.commit([message(1)])

        async def work(writer, _):
            loop = asyncio.get_running_loop()
            first, second = loop.create_future(), loop.create_future()
            writer.submit(message(1), first.set_result)
            error = await asyncio.wait_for(first, 10)
            writer.submit(message(2), second.set_result)
            return error, await asyncio.wait_for(second, 10)

        error, fine = self.run(store, work)
        assert isinstance(error, sqlite3.IntegrityError)
        assert fine is None

    def test_what_waits_is_written_before_it_stops(self, store):
        async def work(writer, _):
            for number in range(1, 1201):
                writer.submit(message(number), lambda _: None)

        self.run(store, work)
        assert len(store.due("lab.test", 200, 2000)) == 1200

    def test_another_processs_change_is_noticed(self, store, tmp_path):
        async def work(_, outside):
            db = connect(tmp_path)
            db.execute("UPDATE recipients SET held = 1")
            db.execute("INSERT INTO bodies VALUES (1, 'x')")
            db.close()
            await asyncio.wait_for(outside.wait(), 10)

        self.run(store, work)
