#!/usr/bin/env bash
# A simulated hospital with an EHR page and the service behind it. `make demo-serving` runs it; Ctrl-C ends it.
set -euo pipefail
cd "$(dirname "$0")/../.."
run="${1:-runs/demo-serving}"
patients="${PATIENTS:-2000}"
mkdir -p "$run"

if [ ! -f "$run/encoder/config.json" ]; then
  # 1. Three years of claims of simulated Medicare patients, up to the end of last month.
  begin="$(date +%Y-%m-01)"
  claim-transformers simulate medicare "$run/raw" --patients "$patients" --seed 5 --overwrite \
    --start "$(date -d "$begin - 3 years" +%F)" --end "$(date -d "$begin - 1 day" +%F)"
  claim-transformers ingest simulated "$run/raw" "$run/claims" --overwrite

  # 2. Every stay with its label, and the encoder that ships with the package fine-tuned on them for two epochs.
  claim-transformers cohort readmission "$run/claims" "$run/cohort" --rule stays --raw-counts --overwrite
  rm -rf "$run/training"
  claim-transformers finetune examples/readmission/classification.yaml --cohort "$run/cohort" \
    --num_train_epochs 2 --output_dir "$run/training"
  mv "$run/training" "$run/encoder"

  # 3. How sure its risks are, by stays that it has not learned from.
  python - "$run/encoder" <<'INTERVALS'
import sys

import pyarrow.parquet as pq

from claim_transformers import Scorer, save_risk_intervals

stays = pq.read_table(f"{sys.argv[1]}/predictions.parquet")
calibration = Scorer.from_pretrained(sys.argv[1]).calibration
risks = stays["score"].to_numpy()
try:
    save_risk_intervals(sys.argv[1], stays["label"].to_numpy(), risks if calibration is None else calibration(risks))
except ValueError as error:
    print(f"the card tells no interval: {error}")
INTERVALS
fi

# 4. The hospital: its FHIR server, its authorization server, a page of its EHR, and `claim-transformers serve`.
exec python examples/serving/hospital.py "$run" --port "${PORT:-8400}"
