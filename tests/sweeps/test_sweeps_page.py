"""What docs/sweeps.md shows is a sweep that can be planned."""

import re
from pathlib import Path

from factorexe.sweeps.file import read
from factorexe.sweeps.planning import plan_sweep

PAGE = Path(__file__).parents[2] / "docs" / "sweeps.md"


def test_the_file_on_the_page_can_be_planned(tmp_path):
    text = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL).group(1)
    file = tmp_path / "page.yaml"
    file.write_text(text, encoding="utf-8")
    assert len(read(file).combinations) == 2 * 6 * 3 * 5
    sweep = plan_sweep(file, directory=tmp_path / "sweep", runs=tmp_path / "runs", priced=False)
    at_128_and_3e_3, beyond_64_with_6_steps, both = 3 * 2 * 5, 2 * 2 * 5, 2 * 5
    assert sweep.skipped == at_128_and_3e_3 + beyond_64_with_6_steps - both
    assert len(sweep.plan.planned) == 180 - sweep.skipped
