"""What TF Serving is started with, beside the versions of an export."""

from pathlib import Path

from tfbert import files

BATCHING_FILE = "batching_parameters.pbtxt"
MODELS_FILE = "models.config"
FILES = (BATCHING_FILE, MODELS_FILE)

# Where the README's command puts the export inside the server's container.
_CONTAINER = "/models"

# Requests wait for company at most as long as a short one takes anyway. Texts
# of one batch may have any length: they are padded inside the graph.
_BATCHING = """\
max_batch_size { value: 32 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 4 }
"""

_MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "{container}/{name}"
    model_platform: "tensorflow"
  }}
}}
"""


def write_server_files(export: Path) -> None:
    """Writes those files that are not there: they are the user's to change.

    Args:
      export: the folder of versions; its name is the model's.
    """
    name = export.resolve().name
    texts = {
        BATCHING_FILE: _BATCHING,
        MODELS_FILE: _MODELS.format(name=name, container=_CONTAINER),
    }
    for file, text in texts.items():
        if not (export / file).exists():
            files.write_file(export / file, text)
