"""kill -9 at any instant loses no accepted message."""

from tests.loopback.killing import rounds


def test_what_was_accepted_arrives_though_the_relay_is_killed_in_mid_load(tmp_path, capsys):
    tally = rounds(tmp_path / "queue", 10, seed=1)
    with capsys.disabled():
        print(
            f"\n{len(tally.accepted)} accepted, {tally.duplicates} duplicates, {tally.unasked} arrived without their 250",
            end=" ",
        )
    assert len(tally.accepted) > 100
    assert tally.lost == set()
    assert tally.damaged == 0
