"""Where labkit answers otherwise than dockerd 26.1, and why; and where dockerd 20.10 did.

`speaker`, `case` (its name, a colon, the command) and `line` are patterns as a shell's; a line
begins with `-` when only dockerd 26.1 says it, and with `+` when only the speaker does.
"""

from typing import NamedTuple


class Difference(NamedTuple):
    """Lines that differ, and the reason."""

    speaker: str
    case: str
    line: str
    reason: str
    always: bool = True
    """Whether it is there on every machine and in every run."""

    def __str__(self) -> str:
        return f"{self.speaker}: {self.case}: {self.line}"


def _same(reason: str, *patterns: tuple[str, str, str]) -> tuple[Difference, ...]:
    return tuple(Difference(*pattern, reason) for pattern in patterns)


_STEPS = _same(
    "labkit names the step of the plan that failed, and what usually causes it",
    ("*", "run of a*", "-*failed to create shim task: oci runtime create failed*"),
    ("*", "run of a*", "+*step exec failed: *"),
    ("*", "run of a command that is not there: inspect*", "-created 127 failed to create*"),
    ("*", "run as a user who is not there*", "-! unable to find user nemo: no matching*"),
    ("*", "run as a user who is not there*", "+*step user failed: unable to find user nemo: *"),
    ("*", "exec: exec*", "-OCI runtime exec failed: *"),
    ("*", "exec: exec*", "+cannot start the command: step *"),
    ("*", "exec: exec -u nemo*", "-unable to find user nemo: *"),
)
_NEWER = _same(
    "as Docker 28 has it: dockerd 26.1 and its command say it otherwise",
    ("*", "exec: exec @a nosuch", "-exit 126"),
    ("*", "exec: exec @a nosuch", "+exit 127"),
    ("*[!6]", "* *: *", "*'docker *' requires *2 arguments"),
    ("*[!6]", "too few words: logs", "*'docker logs' requires *1 argument"),
    ("*[!6]", "an unknown command*", "*nosuch*"),
    ("*8", "run with --rm and a restart policy*", "*! conflicting options: *"),
    ("*8", "inspect *", "+*.GwPriority = 0"),
    ("*8", "export: *", "*! failed to export container: invalid output path: *"),
)
_OLDER_COMMAND = _same(
    "a matter of the command: that of 20.10 looks at it, or sends it, in its own way",
    ("*0", "run of an image by a bad name*", "*! invalid reference format: *"),
    ("*0", "cp of what is not there: cp @a:/no/such*", "?! *"),
    ("*0", "no such container: cp*", "?! no such container*: @nobody*"),
    ("*0", "inspect by type*", "?! no such image: @a*"),
    ("*0", "inspect has the fields: *", "?.HostConfig.Blkio* = *"),
    ("*0", "inspect has the fields: *", "+.HostConfig.KernelMemory* = 0"),
    ("*0", "inspect has the fields: *", "?.HostConfig.Ulimits = *"),
    ("*0", "port of one without ports*", "?! no public port '80*' published for @a"),
    ("*0", "volume: volume rm*", "?! *no such volume*"),
    ("*0", "*digest*: * ~", "?! no such image: ~*"),
)
OLDER = "dockerd-20"
"""What dockerd 20.10 answered to its own command, as one of the speakers."""
_OLDER_DOCKERD = _same(
    "20.10 and 26.1 disagree: labkit does as 26.1",
    (OLDER, "run of a*", "?*failed to create*task*"),
    (OLDER, "run of an image by a bad name*", "?! invalid reference format: *"),
    (OLDER, "run with an unknown restart policy*", "?! invalid restart policy*"),
    (OLDER, "run with a restart count for always*", "?! *maximum retry count *"),
    (OLDER, "no such container: cp*", "?! no such container*: @nobody*"),
    (OLDER, "kill with an unknown signal*", "?! *invalid signal: foo"),
    (OLDER, "remove what *", "-! cannot remove container '/@a': container is *"),
    (OLDER, "remove what *", "+! you cannot remove a *"),
    (OLDER, "out of memory: inspect*", "?* 137"),
    (OLDER, "ps with states: * exited=x", "?! *parsing 'x': invalid syntax"),
    (OLDER, "ps before and since: * since=@nobody", "?! no such container* @nobody"),
    (OLDER, "ps by health: * health=ill", "?! unrecogni?ed filter value for health: ill"),
    (OLDER, "inspect by type*", "?! no such image: @a*"),
    (OLDER, "inspect has the fields: *", "?.HostConfig.BlkioDevice* = *"),
    (OLDER, "inspect has the fields: *", "+.HostConfig.KernelMemory* = 0"),
    (OLDER, "inspect has the fields: *", "?.HostConfig.MaskedPaths = *"),
    (OLDER, "inspect has the fields: *", "?.HostConfig.Ulimits = *"),
    (OLDER, "inspect has the fields*", "-*.DNSNames = null"),
    (OLDER, "stats: *", "?@a *"),
    (OLDER, "port of one without ports*", "?! no public port '80*' published for @a"),
    (OLDER, "exec: exec @a /etc", '?OCI runtime exec failed: * exec: "/etc": *'),
    (OLDER, "cp of what is not there: cp @a:/no/such*", "?! *"),
    (OLDER, "volume: volume inspect*", "?@? local local *"),
    (OLDER, "volume: volume rm*", "?! *no such volume*"),
    (OLDER, "a private IPC namespace*", "?! * ipc *container <id>*"),
    (OLDER, "namespaces of what does not run: *", "?! * ipc *container <id>*"),
    (OLDER, "*digest*: * ~", "?! no such image: ~*"),
)
_TELLS_MORE = _same(
    "labkit says what is wrong, or what to do about it",
    ("*", "ps with states: * exited=x", "-! *: strconv.atoi: parsing 'x': invalid syntax"),
    ("*", "ps with states: * exited=x", "+! invalid filter 'exited=x': it must be an exit code"),
    ("*", "ps by ports: * expose=nonsense", "*! error while looking up for expose nonsense: *"),
    ("labkit", "ps in a format*", "*template*"),
    ("labkit", "inspect by type and form*", "*template*"),
    ("labkit", "logs: logs --since nonsense*", "*failed to parse value as time or duration*"),
    ("labkit", "cp of what is not there: cp %/nosuch*", "*%/nosuch: no such file or directory"),
    ("labkit", "cp of what is not there: cp %/file @a:*", "-! no such directory"),
    ("labkit", "cp of what is not there: cp %/file @a:*", "+* must be a directory"),
    ("labkit", "cp of what is not there: cp %/file %*", "*! must specify at least one container*"),
    ("labkit", "export: *", "*%/no/such*"),
    ("labkit", "what was pulled by its digest is listed: *{{.Digest}}*", "-"),
    ("labkit", "what was pulled by its digest is listed: *{{.Digest}}*", "+#one"),
    ("labkit", "push what has a digest alone: push ~#one", "*! cannot push a digest reference*"),
    ("*", "push what has a digest alone: push ~", "-! tag does not exist: ~:latest"),
    ("*", "push what has a digest alone: push ~", "+! * locally with the tag: ~:latest. give*"),
    ("*", "push what has a digest alone: push -a ~", "-! no tags to push for ~"),
    ("*", "push what has a digest alone: push -a ~", "+! * locally with the tag: ~"),
    ("*", "save and load *: save -o %/tag.tar*", "-! reference does not exist"),
    ("*", "save and load *: save -o %/tag.tar*", "+! no such image: ~:one"),
)
_COMMAND = _same(
    "a matter of the command: labkit's says each thing once, and ends with 1",
    ("*[!08]", "* container: start @nobody", "-! failed to start containers: @nobody"),
    ("*[!08]", "start what is paused: start @a", "-! failed to start containers: @a"),
    ("*[!08]", "*: rename *", "-! failed to rename container named *"),
    ("labkit", "inspect by type and form*", "-"),
    ("labkit", "inspect by type and form*", "?exit *"),
    ("labkit", "*digest*: image inspect*", "-"),
    ("docker-py", "kill with an unknown signal*", "?! cannot kill container: *"),
    ("docker-py", "no such container: kill*", "*no such container: @nobody"),
    ("docker-py", "remove by force what is not there*", "?exit *"),
)
_OTHER_PROGRAMS = _same(
    "labkit is another program: its init, its storage, its runtime, its folders",
    ("*", "run with an init*", "-docker-init"),
    ("*", "run with an init*", "+init"),
    ("*", "inspect has the fields: *", "*.Driver = *"),
    ("*", "inspect has the fields: *", "*.GraphDriver.*"),
    ("*", "inspect has the fields: *", "*.HostConfig.Runtime = *"),
    ("labkit", "inspect has the fields: *", "+.Labkit.Without = *"),
)
_MADE_EARLIER = _same(
    "labkit makes these files when the container is created, Docker when it is started",
    ("*", "inspect has the fields: *", "*.HostnamePath = *"),
    ("*", "inspect has the fields: *", "*.HostsPath = *"),
    ("*", "inspect has the fields: *", "*.LogPath = *"),
    ("*", "inspect has the fields: *", "*.ResolvConfPath = *"),
)
_ISOLATION = _same(
    "labkit hides more: a cgroup namespace also on cgroup v1, the paths later versions mask",
    ("*", "inspect has the fields: *", "*.HostConfig.CgroupnsMode = *"),
    ("*", "inspect has the fields: *", "*.HostConfig.MaskedPaths = *"),
)
_DIGESTS = _same(
    "labkit keeps the layers as they came, and pushes those; Docker compresses them anew",
    ("*", "a digest in two repositories: rmi ~/other:1", "-Untagged: ~/other@<id>"),
    ("*", "a digest in two repositories: rmi ~/other:1", "+Untagged: ~/other#one"),
)
_MANIFESTS = _same(
    "labkit has each image's manifest: its digest is shown, and means it, without a registry too",
    ("*", "remove the digest, and the tag stays: images*digests", "?~   one   *"),
    ("*", "remove a digest that no registry gave: rmi ~#one (2)", "*"),
)
_MISSED = "dockerd misses it, sometimes: the end of a killed first process, how many processes"
_TRUTH = (
    Difference("*", "out of memory: inspect*", "?* 137", _MISSED, always=False),
    Difference("*", "stats: *", "?@a *", _MISSED, always=False),
)
_NETWORKS = _same(
    "labkit keeps its own account of networks: no sandbox beside the container, its id at once",
    ("*", "inspect has the fields*", "?*.NetworkSettings.*"),
    ("*", "inspect has the fields of what runs*", "?.*"),
)

DIFFERENCES: tuple[Difference, ...] = (
    *_STEPS,
    *_NEWER,
    *_OLDER_COMMAND,
    *_OLDER_DOCKERD,
    *_TELLS_MORE,
    *_COMMAND,
    *_OTHER_PROGRAMS,
    *_MADE_EARLIER,
    *_ISOLATION,
    *_DIGESTS,
    *_MANIFESTS,
    *_TRUTH,
    *_NETWORKS,
)
