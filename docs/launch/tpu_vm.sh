#!/bin/bash
# Pretraining on a TPU VM; docs/cluster.md explains it.
#
#   bash docs/launch/tpu_vm.sh
#
# Needs the gcloud command and a project with TPUs. Records and run folder lie
# on the VM's disk here; a mounted bucket survives the VM.
set -euo pipefail
NAME=${NAME:-tfbert}
ZONE=${ZONE:-us-central1-b}
TYPE=${TYPE:-v3-8}

gcloud compute tpus tpu-vm create "$NAME" --zone "$ZONE" \
    --accelerator-type "$TYPE" --version tpu-ubuntu2204-base
gcloud compute tpus tpu-vm scp --recurse --zone "$ZONE" \
    . "$NAME":tfbert
gcloud compute tpus tpu-vm ssh "$NAME" --zone "$ZONE" --command '
cd tfbert
python3 -m venv .venv
.venv/bin/pip install -e ".[tpu]" -c constraints.txt
# "local": the TPU of this VM. float32 records of the result stay float32;
# the TPU computes in bfloat16.
.venv/bin/tfbert pretrain --config trainers/configs/pretrain_mini_cpu.yaml \
    --runtime.strategy tpu --runtime.tpu local --runtime.precision bfloat16
'
