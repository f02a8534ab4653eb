"""Finds classes and functions of a build wherever their file is."""

import importlib
import importlib.util
import re
from pathlib import Path


def defined(package: str, *names: str) -> list:
    """The classes or functions of these names in a package, in that order.

    Args:
      package: tfbert, tfrecords or trainers.
      names: of classes or functions at the top level of one of its modules.

    Raises:
      LookupError: no module defines one, or several do.
    """
    [folder] = importlib.util.find_spec(package).submodule_search_locations
    modules = {
        path: path.read_text(encoding="utf-8")
        for path in sorted(Path(folder).rglob("*.py"))
    }
    found = []
    for name in names:
        wanted = re.compile(rf"^(class|def) {name}\b", re.MULTILINE)
        paths = [path for path, text in modules.items() if wanted.search(text)]
        if len(paths) != 1:
            raise LookupError(
                f"wanted one module of {folder} that defines {name}, got "
                f"{', '.join(map(str, paths)) or 'none'}"
            )
        place = paths[0].relative_to(folder).with_suffix("")
        parts = [part for part in place.parts if part != "__init__"]
        module = importlib.import_module(".".join([package, *parts]))
        found.append(getattr(module, name))
    return found
