"""Lists by `--format`: a table of columns, `table {{.ID}}\\t…`, `json`, or any template.

Every list has its fields by name, as Docker's have (`ID`, `Names`, …), each with its heading.
"""

from labkit.cli.base.flags import Flag
from labkit.cli.base.plain import shown
from labkit.cli.show.table import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FORMAT = Flag("format", "", "string", "Show a template: 'table {{.ID}}\\t…', '{{.ID}}', or json")
TABLE = "table"


class Row(dict[str, object]):
    """The fields of one line; `methods` are fields of templates alone, not of `json`.

    They may take arguments (`{{.Label "name"}}`).
    """

    def __init__(
        self,
        fields: "Mapping[str, object]",
        methods: "Mapping[str, Callable[..., object] | object] | None" = None,
    ) -> None:
        super().__init__(fields)
        self.methods = methods or {}


def render(
    form: str, headings: "Mapping[str, str]", columns: "Sequence[str]", rows: "Iterable[Row]"
) -> str:
    """Return the whole list; `columns` are a table's fields without a template.  UsageError."""
    if form in ("", TABLE):
        cells = [[str(row[name]) for name in columns] for row in rows]
        return table([headings[name] for name in columns], cells)
    from labkit.cli.show.template import Template  # noqa: PLC0415 only with another form
    from labkit.cli.show.template_functions import HEADING_FUNCTIONS  # noqa: PLC0415

    if form == "json":
        form = "{{json .}}"
    # Docker's command replaces these two, so that users need not type the characters.
    form = form.replace("\\t", "\t").replace("\\n", "\n")
    if not form.startswith(TABLE):
        template = Template(form)
        return shown("".join(f"{template.fill(row)}\n" for row in rows))
    template = Template(form.removeprefix(TABLE).strip())
    first = Row(headings, {"Label": lambda name: name.rpartition(".")[2].upper()})
    lines = [template.fill(first, HEADING_FUNCTIONS), *map(template.fill, rows)]
    heading, *others = [line.split("\t") for line in lines]
    return table(heading, others)
