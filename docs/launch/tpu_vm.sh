#!/bin/bash
# Pretraining on a TPU VM of one host; docs/cluster.md explains it. We have no
# TPU: this file is written by what the images and wheels say, and untested.
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
set -e
cd tfbert
# The image has Python 3.10; tfbert needs 3.11.
sudo apt-get update
sudo apt-get install -y python3.11 python3.11-venv
python3.11 -m venv .venv
.venv/bin/pip install -e . -c constraints-2.20.txt
# tensorflow and tensorflow-tpu have files of the same names: first the one
# goes, then the other comes.
.venv/bin/pip uninstall -y tensorflow
.venv/bin/pip install tensorflow-tpu==2.20.0 -c constraints-2.20.txt
.venv/bin/tfbert doctor
# "local": the TPU of this VM, which computes in bfloat16.
.venv/bin/tfbert pretrain --config trainers/configs/pretrain_mini_cpu.yaml \
    --runtime.strategy tpu --runtime.tpu local --runtime.precision bfloat16
'
