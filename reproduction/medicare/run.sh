#!/usr/bin/env bash
# Every table of the Medicare encoder, in order. `make benchmark-medicare` and `make benchmark-medicare-quick` run it. A run
# that was stopped goes on where it was: what is done stands in the workspace.
#
#     bash reproduction/medicare/run.sh reproduction/medicare/profiles/full.yaml
set -euo pipefail
cd "$(dirname "$0")/../.."
profile="${1:?expected a profile, such as reproduction/medicare/profiles/quick.yaml}"

run() {
  echo "== $1"
  python -m "reproduction.medicare.scripts.$1" --profile "$profile"
}

run vocabulary # Section 3.1.3
run models     # Section 4: models, threshold, calibration, training size
run labels     # What the label rule, its leak and the sampling contribute
run in_time    # Section 5.2
run drift
run subgroups  # Section 5.3
run power
run synpuf     # Needs CLAIMS_DATA_DIR
