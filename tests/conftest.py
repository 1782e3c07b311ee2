import importlib
import os
import sys
import textwrap

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("same-every-time", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("same-every-time")

if "torch" in sys.modules:
    sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a small distribution: its entry points and its modules."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def install_(distribution, entry_points, version="1.0", **modules):
        information = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"[{group}]\n" + "".join(f"{line}\n" for line in names) for group, names in entry_points.items()]
        (information / "entry_points.txt").write_text("\n".join(lines))
        for name, source in modules.items():
            (site / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()

    yield install_
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def command(capsys):
    """Runs one command, word by word: exit code, stdout, stderr."""
    from factorexe.cli import main

    def typed(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as left:
            code = left.code
        return code, *capsys.readouterr()

    return typed
