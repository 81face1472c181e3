"""Who waits for whom: labs that are taken away by several processes go one after the other."""

import subprocess
import sys
import threading

from labctl.engine.lock import turn_to_remove

CODE = "from labctl.engine.lock import turn_to_remove\nwith turn_to_remove(): print('mine', flush=True)"


def test_another_process_has_its_turn_when_this_one_is_through(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with turn_to_remove():
        other = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True)
        said = []
        reader = threading.Thread(target=lambda: said.append(other.stdout.readline()))
        reader.start()
        reader.join(1.5)
        assert not said
    reader.join(30)
    assert said == ["mine\n"]
    assert other.wait(30) == 0
    other.stdout.close()


def test_so_has_another_thread(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    inside, most = [], []

    def work():
        with turn_to_remove():
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] * 8
