"""The generated documents are what the model says."""

from __future__ import annotations

import json
from pathlib import Path

from farm.catalog import reference
from farm.model.recipe import Recipe

DOCS = Path(__file__).parent.parent / "docs"


def test_generated_documents_are_up_to_date() -> None:
    for name, text in reference.files().items():
        assert (DOCS / name).read_text("utf-8") == text, f"run `make docs`: {name}"


def test_every_key_of_a_recipe_is_in_the_reference() -> None:
    text = reference.markdown()
    for name in Recipe.model_fields:
        assert f"| `{name}` |" in text
    for table in (
        "[[release.source.location]]",
        "[build]",
        "[[products.library]]",
        "[tests.upstream]",
        "[[package.location]]",
        "[[compiled.part]]",
    ):
        assert f"### `{table}`" in text


def test_every_key_has_a_meaning() -> None:
    assert [line for line in reference.markdown().splitlines() if line.endswith("|  |")] == []


def test_schemas_refuse_unknown_keys() -> None:
    schema = json.loads((DOCS / "recipe.schema.json").read_text())
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Build"]["additionalProperties"] is False


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert len(reference.write(tmp_path)) == 5
    assert reference.write(tmp_path) == []
