"""The docs of every flow are generated from the code and cannot drift."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jingwei.bureau.campaigns.course import CAMPAIGN
from jingwei.bureau.cases.flows import FLOWS

# A campaign is no case, but goes by a flow.
PAGES = {**FLOWS, CAMPAIGN.name: CAMPAIGN}
DOCS = Path(__file__).parents[3] / "docs" / "flows"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_what_the_code_says(name):
    path = DOCS / f"{name}.md"
    page = PAGES[name].markdown()
    if os.environ.get("JINGWEI_TEST_WRITE_DOCS"):
        path.write_text(page)
    assert path.read_text() == page, (
        f"{path} is not what the code says: JINGWEI_TEST_WRITE_DOCS=1 pytest {__file__}"
    )


def test_no_page_without_a_flow():
    assert {p.stem for p in DOCS.glob("*.md")} == {*PAGES, "README"}
    index = (DOCS / "README.md").read_text()
    assert all(f"({name}.md)" in index for name in PAGES)
