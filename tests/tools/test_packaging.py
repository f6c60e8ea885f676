"""The wheel holds all that the package needs, and works away from the repository."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # The sources are copied, so that building leaves nothing behind and workers do not meet.
    source = tmp_path_factory.mktemp("source") / "archcast"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, files):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    output = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(output), str(source)],
        check=True,
        capture_output=True,
    )
    return next(output.glob("*.whl"))


def test_wheel_lists_every_folder_with_code(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("spaces", "encoders", "predictors", "benchmarks_data", "evaluation", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            if (path.parent / "__init__.py").exists():
                assert f"archcast/{path.relative_to(ROOT)}" in names
    assert "archcast/py.typed" in names
    assert {Path(n).name for n in names if n.endswith(".h5")} == {
        path.name for path in (ROOT / "benchmarks_data" / "shipped").glob("*.h5")
    }
    assert not any(name.startswith("archcast/tests") for name in names)


def test_wheel_works_in_an_empty_environment_from_another_folder(wheel, tmp_path):
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    # Its dependencies are those of the running environment: installing them again would test the network. A path
    # added this way does not bring the editable install along.
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    where = subprocess.run(
        [python, "-c", "import archcast; print(archcast.__file__)"],
        cwd=tmp_path, env=clean, check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    assert where.startswith(str(environment))
    listed = subprocess.run(
        [environment / "bin" / "archcast", "table", "list"],
        cwd=tmp_path, env=clean, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in ("nasbench201", "nasbench_graph_cora", "accel_nasbench", "nasbench_nlp"):
        assert name in listed
