"""The rounds: who runs when."""

from bench import timing


class Recorder:
    def __init__(self, name, order):
        self.name = name
        self.order = order

    def setup(self, folder):
        pass

    def prepare(self):
        self.order.append(".")

    def run_once(self):
        self.order.append(self.name)

    def clean_up(self):
        assert self.order[-1] == self.name

    def teardown(self):
        pass


def test_every_round_has_everyone_once_and_begins_with_another():
    order = []
    peers = [Recorder(name, order) for name in "abc"]
    times = timing.measure(peers, rounds=4, pause_s=0, progress=lambda _: None)
    ran = [name for name in order if name != "."]
    assert len(order) == 2 * len(ran)
    warm_up = 3 * timing.WARM_UP_ROUNDS
    assert "".join(ran[warm_up:]) == "abc" + "bca" + "cab" + "abc"
    assert {name: len(sample) for name, sample in times.items()} == {"a": 4, "b": 4, "c": 4}


def test_nobody_is_nothing():
    assert timing.measure([], rounds=2, pause_s=0, progress=lambda _: None) == {}
