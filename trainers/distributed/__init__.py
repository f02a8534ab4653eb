"""Several workers that train together: who they are, and whether they live.

Separation of concerns: `members` and `slurm` find out who the workers are;
`monitor` connects them outside TensorFlow, since a collective whose peer is
gone waits in C++ where nothing of ours runs; `pulse` knows what this worker
is doing, `judge` decides from all pulses who is lost, stalled or slow;
`agreement` compares settings, code and data before the first step; `marks`
ties them to the training step; `connecting` makes TensorFlow's strategy. Only
these two know TensorFlow.
"""
