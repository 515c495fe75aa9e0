"""Every odd file of the table through the command line, the engine and the readers of labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from odd_files import TABLE, OddFile, kept

from clopa_annotator import cli
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.datasets.volumes import read_image, read_labels
from clopa_annotator.errors import ClopaError, ImageError
from clopa_annotator.server.http import Ask
from clopa_annotator.server.routes_cases import CaseRoutes
from clopa_annotator.wire.array_framing import Bundle
from clopa_annotator.wire.session_messages import geometry_to_wire
from clopa_annotator.wire.tokens import Identity

REPOSITORY = Path(__file__).resolve().parents[2]
LABEL_READERS: dict[str, Callable[[Path], object]] = {"dataset": read_labels, "image": read_image}
"""Readers of label files; an import that reads them itself belongs here."""

rows = pytest.mark.parametrize("odd", TABLE, ids=lambda odd: odd.about)


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    CampaignStore.create(tmp_path / "campaign", CampaignManifest("odd", 1)).close()
    return tmp_path / "campaign"


def written(odd: OddFile, tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    odd.write(folder / odd.name)
    return folder / odd.name


@rows
def test_the_command_line_adds_it_right_or_not_at_all(
    odd: OddFile, campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["cases", "add", str(campaign), "--images", str(written(odd, tmp_path))])
    printed = capsys.readouterr()
    with CampaignStore.open(campaign) as store:
        cases = store.cases()
        if odd.voxels is None:
            said = printed.out + printed.err
            assert code == 2 and cases == () and re.search(odd.sentence, said), said
            return
        assert code == 0, printed
        image = store.read_image(cases[0].image_hash)
    voxels, lps = kept(odd)
    assert np.array_equal(image.voxels, voxels)
    assert np.allclose(image.geometry.ijk_to_lps(), lps, atol=1e-5)
    read = read_image(tmp_path / "files" / odd.name)
    assert np.array_equal(read.voxels, odd.voxels)
    assert np.allclose(read.geometry.ijk_to_lps(), odd.lps, atol=1e-5)


@rows
def test_a_folder_with_one_odd_file_lists_it_or_says_so(odd: OddFile, tmp_path: Path) -> None:
    from clopa_annotator.datasets.image_list import list_images

    path = written(odd, tmp_path)
    assert [image.path for image in list_images(path.parent)] == ([] if ".seg." in path.name else [path])


@pytest.mark.parametrize("reader", LABEL_READERS)
@pytest.mark.parametrize("odd", [o for o in TABLE if o.as_label], ids=lambda odd: odd.about)
def test_a_label_file_with_this_fault_is_refused_too(odd: OddFile, reader: str, tmp_path: Path) -> None:
    with pytest.raises(ClopaError, match=odd.sentence) as refused:
        LABEL_READERS[reader](written(odd, tmp_path))
    assert odd.name in str(refused.value)


@pytest.mark.parametrize("odd", [o for o in TABLE if o.is_voxels], ids=lambda odd: odd.about)
def test_an_engine_that_is_sent_these_voxels_stores_nothing(odd: OddFile, tmp_path: Path) -> None:
    image = read_image(written(odd, tmp_path))
    added: list[Any] = []
    host: Any = SimpleNamespace(add_case=lambda *case: added.append(case))
    meta = {"case_id": "x", "geometry": geometry_to_wire(image.geometry)}
    ask = Ask(Identity("somebody", "annotator"), Bundle(meta, {"image": image.voxels}))
    with pytest.raises(ImageError, match=odd.sentence):
        CaseRoutes(host).add(ask)
    assert not added


@rows
def test_the_document_names_it(odd: OddFile) -> None:
    text = (REPOSITORY / "docs" / "formats" / "odd-files.md").read_text(encoding="utf-8")
    line = next((row for row in text.splitlines() if row.startswith(f"| {odd.about} |")), "")
    assert line, f"docs/formats/odd-files.md has no row for {odd.about!r}"
    assert ("read as it is" in line) == (odd.voxels is not None)
    assert odd.voxels is not None or re.search(odd.sentence, line), line
