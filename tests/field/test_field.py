"""Every kind of file of docs/field.md, made again: all rows are right and stand on the page."""

import pytest
from field_table import PAGE, TOPICS, as_table, rows


@pytest.mark.parametrize("topic", TOPICS)
def test_the_product_is_right_about_what_people_have(topic: str) -> None:
    found = rows(topic)
    assert [row for row in found if not row.right] == []
    assert f"## {topic}\n\n{as_table(found)}\n" in PAGE.read_text(encoding="utf-8")
