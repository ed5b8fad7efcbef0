import json

import pyarrow.parquet as pq
import pytest
from cohorts.sequences_by_hand import save_stays

from claim_transformers.training import make_form, parse_arguments, write_sequences


@pytest.mark.parametrize("depth", ["code", "category", "chapter"])
def test_sequences_of_every_depth_are_fitted_like_a_cohort(depth, load_script, tmp_path):
    write_sequences(save_stays(tmp_path / "stays", 150), tmp_path / "sequences", make_form(depth), num_bins=3)
    script = load_script("run_baselines")
    given = ["--cohort", str(tmp_path / "sequences"), "--output_dir", str(tmp_path / "models")]
    script.main(*parse_arguments(script.ScriptArguments, arguments=given))
    for name in ("lr-sparse", "lr-dense"):
        folder = tmp_path / "models" / name
        sizes = [pq.read_table(folder / f"predictions{end}.parquet").num_rows for end in ("", "_validation")]
        assert min(sizes) > 10
        assert json.loads((folder / "metrics.json").read_text())["examples"] == sizes[0]
