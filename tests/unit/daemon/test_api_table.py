"""The table of the API says what is so."""

from labkit import API_VERSION
from tests.api_table import table
from tests.lab import PROJECT


def test_the_table_in_the_repository_is_as_it_would_be_made_now():
    assert table.SHOWN.read_text() == table.text(), "run python -m tests.api_table"


def test_every_reason_is_about_a_field_that_is_published():
    published = {line.name for line in table.fields()}
    assert set(table.REFUSED_FIELDS) | set(table.IDLE_FIELDS) <= published


def test_one_place_says_the_version():
    sources = (PROJECT / "labkit").rglob("*.py")
    places = [path.name for path in sources if f'"{API_VERSION}"' in path.read_text()]
    assert places == ["__init__.py"]
