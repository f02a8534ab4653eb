"""Names of the files of a run and of a model folder; spelt here alone."""

# A model folder, ours and Hugging Face's: a run has the first, each of its
# checkpoints the second.
CONFIG_FILE = "config.json"
MODEL_FILE = "model.safetensors"

# A run.
RUN_FILE = "run.json"
SETTINGS_FILE = "settings.yaml"
METRICS_FILE = "metrics.jsonl"
EVENTS_FILE = "events.jsonl"
ENVIRONMENT_FILE = "environment.json"
ROLLBACKS_FILE = "rollbacks.json"
LOCK_FILE = "lock.json"
BEST_FILE = "best.safetensors"
CHECKPOINTS_FOLDER = "checkpoints"
TENSORBOARD_FOLDER = "tensorboard"
REPORT_FILE = "report.html"
# What several runs in one folder add up to.
SUMMARY_FILE = "summary.json"
SWEEP_FILE = "sweep.json"
