"""`--format`: what templates mean, and what is said of those that cannot be filled."""

import json

import pytest

from labkit.cli.base.errors import UsageError
from labkit.cli.show.formats import Row, render
from labkit.cli.show.template import fill

DATA = {
    "Name": "/web",
    "State": {"Status": "running", "Pid": 42, "OOMKilled": False, "Error": None},
    "Config": {
        "Cmd": ["sh", "-c"],
        "Labels": {"b": "2", "a.b-c": "1"},
        "Env": ["A=1", "B=2"],
        "Empty": [],
    },
    "Mounts": [{"Source": "/x", "RW": True}, {"Source": "/y", "RW": False}],
    "Ports": {"80/tcp": [{"HostPort": "8080"}], "90/udp": None},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no action", "no action"),
        ("{{.State.Status}}", "running"),
        ("{{ .State.Pid }} is {{.State.Status}}!", "42 is running!"),
        ("{{.State.OOMKilled}}", "false"),
        ("{{.State.Error}}", "<nil>"),
        ("{{.Config.Cmd}}", "[sh -c]"),
        ("{{.Config.Labels}}", "map[a.b-c:1 b:2]"),
        ("{{json .Config.Cmd}}", '["sh","-c"]'),
        ("{{json .State.Error}}", "null"),
        ("{{.State | json}}", json.dumps(DATA["State"], separators=(",", ":"))),
        # text between actions
        ("a {{- .State.Pid -}} b", "a42b"),
        ("{{/* nothing */}}x", "x"),
        ('{{"}} in text"}}', "}} in text"),
        # if, with, range
        ("{{if .State.OOMKilled}}oom{{else}}fine{{end}}", "fine"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
        ("{{if eq .State.Pid 1}}a{{else if eq .State.Pid 42 43}}b{{else}}c{{end}}", "b"),
        ("{{with .State}}{{.Pid}}{{end}}", "42"),
        ("{{with $s := .State}}{{$s.Pid}} {{$.Name}}{{end}}", "42 /web"),
        ("{{with .Nosuch}}x{{else}}nothing{{end}}", "nothing"),
        ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"),
        ("{{range .Config.Empty}}x{{else}}none{{end}}", "none"),
        ("{{range $i, $e := .Config.Env}}{{$i}}:{{$e}} {{end}}", "0:A=1 1:B=2 "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "a.b-c=1 b=2 "),
        ("{{range .Mounts}}{{if .RW}}{{.Source}}{{end}}{{end}}", "/x"),
        ("{{range $p, $b := .Ports}}{{$p}}{{range $b}}>{{.HostPort}}{{end}} {{end}}",
         "80/tcp>8080 90/udp "),
        # variables and parentheses
        ("{{$x := .State.Pid}}{{$x}}", "42"),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{(index .Mounts 1).Source}}", "/y"),
        ("{{len (index .Config.Env 0)}}", "3"),
        # functions
        ("{{index .Config.Env 1}}", "B=2"),
        ('{{index .Config.Labels "a.b-c"}}', "1"),
        ('{{index .Config.Labels "nosuch"}}', ""),
        ('{{join .Config.Cmd " "}}', "sh -c"),
        ('{{println .Name "x"}}', "/web x\n"),
        ("{{print .State.Pid}}", "42"),
        ('{{printf "%s=%d %5.1f %v %q%%" .Name .State.Pid 1.25 .Config.Cmd "a"}}',
         '/web=42   1.2 [sh -c] "a"%'),
        ('{{.Name | printf "%-6s|"}}', "/web  |"),
        ("{{slice .Name 1}}", "web"),
        ("{{truncate .Name 3}}", "/we"),
        ('{{index (split .Name "/") 1 | upper}}', "WEB"),
        ('{{title "abc"}} {{lower "ABC"}} {{pad "x" 1 2}}|', "Abc abc  x  |"),
        ("{{not .State.OOMKilled}} {{and 1 0}} {{or 0 2}}", "true 0 2"),
        ("{{ne 1 2}} {{lt 1 2}} {{ge 1 2}}", "true true false"),
        (r'{{"a\tb\"c"}}{{`raw\t`}}', 'a\tb"craw\\t'),
    ],
)  # fmt: skip
def test_templates(template: str, text: str) -> None:
    assert fill(template, DATA) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.State", "{{ without }}"),
        ("{{.Nosuch}}", "no field Nosuch"),
        ("{{.State.Pid.X}}", "no field X in .State.Pid.X"),
        ("{{range .Mounts}}{{.Source}}", "{{range}} without {{end}}"),
        ("{{if .Name}}a{{else}}b", "{{if}} without {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{}}", "is empty"),
        ("{{State}}", "unknown function 'State'"),
        ("{{range .Name}}x{{end}}", "range cannot iterate over /web"),
        ("{{index .Config.Env 7}}", "index out of range: 7"),
        ("{{join .State.Pid}}", "function 'join' cannot take 42"),
        ('{{define "x"}}{{end}}', "labkit lacks"),
        ("{{$x}}", "undefined variable $x"),
        ("{{(.Name}}", "has a ( without a )"),
        ("{{.Name )}}", "unexpected ')'"),
        ("{{.Name ; }}", "cannot be read"),
        ('{{printf "%z" 1}}', "printf cannot format %z"),
        ("{{.Name .State}}", "takes no arguments"),
    ],
)
def test_templates_that_cannot_be_filled(template: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        fill(template, DATA)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"template '{template}': ")


HEADINGS = {"ID": "THE ID", "Names": "NAMES", "Labels": "LABELS"}
ROWS = [
    Row({"ID": "1", "Names": "web", "Labels": "a=b"}, {"Label": {"com.a": "b"}.get}),
    Row({"ID": "2", "Names": "database", "Labels": ""}, {"Label": lambda name: ""}),
]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("", "THE ID    NAMES\n1         web\n2         database\n"),
        ("table", "THE ID    NAMES\n1         web\n2         database\n"),
        ("{{.ID}} {{.Names}}", "1 web\n2 database\n"),
        (r"{{.ID}}\t{{.Names}}", "1\tweb\n2\tdatabase\n"),
        ("json", '{"ID":"1","Names":"web","Labels":"a=b"}\n'
                 '{"ID":"2","Names":"database","Labels":""}\n'),
        (r"table {{.Names}}\t{{upper .ID}}", "NAMES      THE ID\nweb        1\ndatabase   2\n"),
        ('table {{.Label "com.a"}}\\t{{.ID}}', "A         THE ID\nb         1\n          2\n"),
    ],
)  # fmt: skip
def test_lists(form: str, text: str) -> None:
    assert render(form, HEADINGS, ("ID", "Names"), ROWS) == text
