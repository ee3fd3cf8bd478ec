"""Events for listeners: those that read, and one that does not."""

from labkit.containers.records.events import WAITING_MAX, Events


def test_a_listener_that_does_not_read_is_cut_off():
    events = Events()
    cuts = []
    deaf = events.listen(cut=lambda: cuts.append("deaf"))
    reader = iter(events.listen(cut=lambda: cuts.append("reader")))
    for number in range(3 * WAITING_MAX):
        events.publish("container", "start", str(number), {})
        assert next(reader).id == str(number)
    assert cuts == ["deaf"]
    assert deaf._own.qsize() == WAITING_MAX


def test_a_closed_listener_is_forgotten():
    events = Events()
    listener = events.listen()
    listener.close()
    listener.close()
    events.publish("container", "start", "a", {})
    assert listener._own.empty()
