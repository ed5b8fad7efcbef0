#!/usr/bin/env bash
# Next-visit recall on two MEDS sets, each also after pretraining on the other, and on DE-SynPUF as the negative control,
# whose visits have no order to learn from: there a gain would be a leak. A table that stands in the workspace is kept.
#
#     CLAIMS_DATA_DIR=path bash reproduction/claim_pt/real_structure.sh reproduction/claim_pt/profiles/full.yaml
set -euo pipefail
cd "$(dirname "$0")/../.."
name="$(basename "${1:?expected a profile, such as reproduction/claim_pt/profiles/quick.yaml}" .yaml)"
if [[ -z "${CLAIMS_DATA_DIR:-}" ]]; then
  echo "real structure: left out, because CLAIMS_DATA_DIR is not set (folders meds_gibleed, meds_synthea_1k, synpuf)"
  exit 0
fi
work="runs/benchmark/$name/real_structure"
docs="runs/benchmark/$name/docs"
quick=True
if [[ "$name" == full ]]; then docs=docs/benchmark quick=False; fi
mkdir -p "$work" "$docs"

study() {
  local table="$1" config="$2"
  shift 2
  if [[ ! -e "$work/$table.json" ]]; then
    python -m reproduction.claim_pt.scripts.real_structure "reproduction/claim_pt/configs/$config.yaml" "$@" \
      --quick "$quick" --use_cpu True --report_to none --output_dir "$work/models" --tables "$work"
  fi
  cp "$work/$table.md" "$work/$table.json" "$docs"
}

study meds_gibleed meds_gibleed --pretrain_on "$CLAIMS_DATA_DIR/meds_synthea_1k"
study meds_synthea_1k meds_synthea_1k --pretrain_on "$CLAIMS_DATA_DIR/meds_gibleed"
if [[ ! -e "$work/synpuf/_SUCCESS" ]]; then
  synpuf="$CLAIMS_DATA_DIR/synpuf"
  if [[ -d "$synpuf/sample1" ]]; then synpuf="$synpuf/sample1"; fi
  claim-transformers ingest synpuf "$synpuf" "$work/synpuf" --overwrite
fi
study synpuf_control synpuf_control --claims "$work/synpuf"
study synpuf_control-shuffled synpuf_control --claims "$work/synpuf" --shuffle True
