"""Write the table."""

from tests.api_table.table import SHOWN, text

SHOWN.parent.mkdir(exist_ok=True)
SHOWN.write_text(text())
