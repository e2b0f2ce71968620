"""README files and the model card say what is so."""

import hashlib
import re
from pathlib import Path

import pytest

from streamcell.runtime import Model
from streamcell.runtime.models import DEFAULT_MODEL, find_bundled

ROOT = Path(__file__).parent.parent
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "samples").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_finished_and_their_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"@[A-Z]+@", text)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_card_is_of_the_model_that_ships() -> None:
    card = (ROOT / "samples/phonemes/README.md").read_text(encoding="utf-8")
    model, file = Model.open(), find_bundled(DEFAULT_MODEL)
    assert file is not None
    assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    figures = model.manifest.training["figures"]
    assert isinstance(figures, dict)
    assert f"{100 * float(str(figures['validation_error_rate'])):.2f}%" in card
