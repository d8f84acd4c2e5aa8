"""Notebooks run from top to bottom on what the demo leaves behind."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from connector.settings import load
from pipelines.demo import demo
from pipelines.progress import Progress

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    demo(folder, customers=100, seed=7, progress=Progress())
    return folder / "billing.duckdb"


@pytest.mark.sampled
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_draws(path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each notebook ends without an error, and shows at least one picture."""
    monkeypatch.setenv("FLEXSYNC_COPY", str(copy))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_a_notebook_is_kept_without_outputs() -> None:
    """Outputs are not committed: they would hold somebody's figures."""
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        assert not any(cell.get("outputs") for cell in cells), path.name


@pytest.mark.parametrize("name", ["import.toml", "nightly.toml", "sandbox.toml"])
def test_a_config_loads(name: str) -> None:
    """Every shipped config is valid as it stands, and its publications are targets that exist as kinds."""
    settings = load(Path(__file__).parents[1] / "configs" / name, environ={"FLEXPRICE_API_KEY": "sk_test"})
    assert all(target.partition(":")[0] in ("duckdb", "parquet") for target in settings.sync.publish)
