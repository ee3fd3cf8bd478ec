"""Lines of /etc/subuid, as administrators write them: some cannot be used."""

from labkit.dialect.subordinate_ids import Line, parse, ranges, sharers

LINES = [
    Line("lea", 300_000, 10),
    Line("tom", 300_005, 10),
    Line("lea", 300_009, 5),
    Line("lea", 400_000, 7),
    Line("eva", 300_010, 5),
]


def test_lines_that_no_kernel_accepts_are_ignored():
    text = "lea:1:2\nlea:x:1\nlea:-5:10\nlea:5:0\nlea:300000:99999999999\n:::\nlea:1\nlea:٣:1\n"
    assert list(parse(text + "lea:4294967295:1\ntom:4294967294:1\n")) == [
        Line("lea", 1, 2),
        Line("tom", 4294967294, 1),
    ]


def test_no_id_is_mapped_twice():
    assert ranges({"lea"}, LINES) == ((0, 300_000, 10), (10, 400_000, 7))
    assert ranges({"lea"}, LINES, [(0, 400_003, 1)]) == ((1, 300_000, 10),)
    assert ranges({"nobody"}, LINES) == ()


def test_users_with_the_same_ids_are_named():
    assert sharers({"lea"}, LINES) == ["eva", "tom"]
    assert sharers({"eva"}, LINES) == ["lea", "tom"]
    assert sharers({"lea"}, LINES[:1]) == []
