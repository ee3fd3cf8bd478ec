"""The map of namespaces, the tree of processes, and what the experiments say of what they found."""

from labkit.course.architecture.process_tree import Node, ProcessTree, branch, numbers
from labkit.course.lifecycle.first_process import Fate, FirstProcess
from labkit.course.namespaces import system_v
from labkit.course.namespaces.inter_process import TEXT, VALUE, InterProcess, Seen
from labkit.course.namespaces.left_out import Answer, LeftOut, questions
from labkit.course.namespaces.namespace_map import HOST, KINDS, NamespaceMap, Resident

HOSTS = dict.fromkeys(KINDS, 1)
MAP = NamespaceMap(
    (
        Resident(HOST, 10, HOSTS),
        Resident("one", 11, HOSTS | {"pid": 2, "ipc": 3}),
        Resident("two", 12, HOSTS | {"pid": 2, "ipc": 4, "uts": 5}),
    )
)
TREE = ProcessTree(
    (
        Node(0, "labkitd", (5,), 1),
        Node(1, "labkit-shim of one", (6,), 1),
        Node(2, "sh", (7, 1), 2),
        Node(2, "sleep 9", (8, 2), 2),
    ),
    host=1,
)


def test_who_shares() -> None:
    assert MAP.shared_with("one", "pid") == ["two"]
    assert MAP.shared_with("one", "ipc") == []
    assert MAP.shared_with("one", "net") == [HOST, "two"]
    rows = {row[0]: row[1:] for row in MAP.table().rows}
    assert rows["pid"] == ("[1]", "[2]", "[2]")


def test_the_map_has_words() -> None:
    alt = MAP.plot().alt
    assert "one shares mnt, uts, net, cgroup, user, time with the host and pid with two" in alt


def test_numbers_of_a_process() -> None:
    assert numbers("Name:\tsh\nNSpid:\t24482\t1\nThreads:\t1\n") == (24482, 1)
    assert numbers("NSpid:\t7\n") == (7,)


def test_the_tree_has_words() -> None:
    assert branch(TREE.nodes[2]) == "      └─ sh"
    assert TREE.table().column("number inside") == ("–", "–", "1", "2")
    alt = TREE.plot().alt
    assert "sh (7 on the host, 1 inside)" in alt
    assert "labkitd (5 on the host);" in alt


def test_keys_that_the_kernel_lists() -> None:
    heading = "       key      semid perms      nsems   uid\n"
    assert system_v.keys(heading) == set()
    assert system_v.keys(f"{heading}       427          0   600          1     0\n") == {427}


def test_only_who_is_in_the_namespace_may_see_the_semaphore() -> None:
    both, nothing = system_v.Found(VALUE, TEXT), system_v.Found(None, None)
    one, host = Seen("one", 5, both, True), Seen("the host", 6, nothing, False)
    assert InterProcess((one, host)).holds
    assert not InterProcess((one, host._replace(found=both))).holds
    assert not InterProcess((one, host._replace(inode=5))).holds
    assert InterProcess((one, host)).table().column("semaphore") == ("at 42", "no such key")


def test_what_process_1_does() -> None:
    alone, below = Fate("sleep", 1, True, None), Fate("an init", 0, True, 143)
    assert FirstProcess((alone, below)).holds
    assert not FirstProcess((alone._replace(zombies=0), below)).holds
    assert FirstProcess((alone, below)).table().rows[0][1:] == (
        *("stays a zombie", "nothing happens", "nothing happens"),
    )


def test_what_is_the_hosts_is_seen_only_without_the_step() -> None:
    pid = next(one for one in questions(7) if one.step == "namespace.pid")
    assert LeftOut((Answer(pid, "1", "321"),)).holds
    assert not LeftOut((Answer(pid, "1", "1"),)).holds
    assert not LeftOut((Answer(pid, "321", "321"),)).holds
