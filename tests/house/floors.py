"""Which rooms lie below which, for the rules of the house."""

VERBS = {
    *("vocab", "records", "preview", "pretrain", "finetune", "evaluate"),
    *("export", "predict", "convert", "report", "doctor", "launch", "demo"),
}
# Inside a package, from the lowest floor up: a room imports what lies on
# lower floors. Two rooms of one floor never import each other both ways.
FLOORS = {
    "tfbert": [
        {"errors", "startup_notices", "file_names", "score_limit"}
        | {"batch_keys", "numpy_scalars"},
        {"local_paths", "json_files", "tag_scheme"},
        {"files"},
        {"config", "fast_ops"},
        {"layers", "text", "optimizers"},
        {"encoder", "vocabulary"},
        {"tasks", "weights"},
        {"serving", "converters"},
    ],
    "tfrecords": [
        {"layout", "keyed_order", "worker_processes"},
        {"text", "masking"},
        {"storage"},
        {"batches"},
        {"build", "labelled"},
    ],
    "trainers": [
        {"files"},
        {"settings", "step"},
        {"distributed"},
        {"checkpoints"},
        {"watching"},
        {"run"},
        {"planning", "reports"},
        {"pretraining", "finetuning"},
        {"checks"},
        {"command"},
        VERBS,
        {"cli"},
    ],
}
