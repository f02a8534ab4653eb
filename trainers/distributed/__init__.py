"""Workers that train together in; who they are, and whether they live, out.

Separation of concerns: `members` and `slurm` find out who the workers are;
`monitor` connects them outside TensorFlow, since a collective whose peer is
gone waits in C++ where nothing of ours runs; `worker_status` knows what this
worker is doing, `failure_detector` decides from all of them who is lost,
stalled or slow; `agreement` compares settings, code and data before the first
step; `step_probes` tie them to the training step; `connecting` makes
TensorFlow's strategy. Only these two know TensorFlow.
"""
