"""How much memory the GPUs have, as their driver says.

TensorFlow tells what it has taken, not what there is. `nvidia-smi` comes with
the driver; where it is missing (another maker, a slice of a GPU), nothing is
said.
"""

import os
import subprocess
from collections.abc import Mapping

_QUERY = (
    "nvidia-smi",
    "--query-gpu=index,uuid,memory.total",
    "--format=csv,noheader,nounits",
)


def smallest_gpu(environment: Mapping[str, str] = os.environ) -> int | None:
    """Bytes of the smallest GPU that this process sees; None if unknown.

    Args:
      environment: CUDA_VISIBLE_DEVICES says which it sees.
    """
    try:
        said = subprocess.run(
            _QUERY, capture_output=True, text=True, timeout=20, check=True
        ).stdout
        rows = [line.split(", ") for line in said.splitlines() if line.strip()]
        gpus = [(index, uuid, int(mib) << 20) for index, uuid, mib in rows]
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    seen = environment.get("CUDA_VISIBLE_DEVICES")
    if seen is not None:
        names = [name.strip() for name in seen.split(",")]
        gpus = _named(gpus, names, environment.get("CUDA_DEVICE_ORDER"))
    return min((size for _, _, size in gpus), default=None)


def _named(gpus: list, names: list[str], order: str | None) -> list:
    """Those of the GPUs that a list names by number or identity."""
    if any(name.startswith("MIG") for name in names):
        return []
    sizes = {size for _, _, size in gpus}
    if order != "PCI_BUS_ID" and len(sizes) > 1 and names[0].isdigit():
        # CUDA counts the fastest first, the driver by place: any may be meant.
        return gpus
    return [
        (index, uuid, size)
        for index, uuid, size in gpus
        for name in names
        if name == index or name.startswith("GPU-") and uuid.startswith(name)
    ]
