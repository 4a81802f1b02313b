"""The text of a card with new values: nothing else in it changes."""

from __future__ import annotations

import pytest

from nanomg.errors import InputError
from nanomg.library import card_editing
from nanomg.models import library as read_library


@pytest.mark.parametrize("name", sorted(read_library().cards))
def test_every_card_can_be_rewritten(name, library):
    text, card = library.cards[name].read_text(encoding="utf-8"), library.card(name)
    last = list(card.parameters.values())[-1]
    written = card_editing.rewrite(text, {last.name: last})
    changed = [(a, b) for a, b in zip(written.splitlines(), text.splitlines(), strict=True) if a != b]
    assert len(changed) <= 1


def test_a_comment_after_a_rewritten_value_stays(library):
    parameter = library.card("textbook").parameters["pk.CL"]
    rest = "  # as { before }\n\n[x]\ny = { value = 2 }\n"
    text = '[pk]  # all\nCL = { value = 1, unit = "L/h", basis = "assumed", note = "a } b" }' + rest
    written = card_editing.rewrite(text, {"pk.CL": parameter})
    assert written.endswith("}" + rest) and "value = 4" in written
    added = card_editing.rewrite("[x]\ny = { value = 2 }\n", {"pk.CL": parameter})
    assert added.startswith("[x]\ny = { value = 2 }\n") and "[pk]\nCL = { value = 4" in added
    with pytest.raises(InputError, match="on one line"):
        card_editing.rewrite('[pk.CL]\nvalue = 1\nunit = "L/h"\n', {"pk.CL": parameter})
