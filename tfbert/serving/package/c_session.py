"""A SavedModel asked through TensorFlow's C API, as a server asks it.

The library is that of the wheel and of TF Serving; Python's TensorFlow, which
takes seconds to import, has no part in it. See tensorflow/c/c_api.h.
"""

import ctypes
import functools
import importlib.util
import os
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.serving.package.graph_file import read_graph_file
from tfbert.startup_notices import sifted_notices

# TF_DataType -> as NumPy has it; strings are objects, bytes each.
DTYPES = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint8),
    6: np.dtype(np.int8),
    7: np.dtype(object),
    9: np.dtype(np.int64),
    10: np.dtype(bool),
}
_NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
_STRING = 7
# sizeof(TF_TString)
_STRING_SIZE = 24
_POINTER = ctypes.c_void_p
# Calls that take long, beside which Python goes on.
_LONG = (
    "TF_LoadSessionFromSavedModel",
    "TF_LoadLibrary",
    "TF_SessionRun",
    "TF_CloseSession",
    "TF_DeleteSession",
)


class _Output(ctypes.Structure):
    """TF_Output: an operation, and which of its outputs."""

    _fields_ = [("operation", _POINTER), ("index", ctypes.c_int)]


class Refused(Exception):
    """TensorFlow answers with an error."""


class Session:
    """A SavedModel.

    Args:
      version: its folder.

    Attributes:
      inputs: signature -> name of an input -> its dtype.
      outputs: likewise.

    Raises:
      UserError: it cannot be loaded.
    """

    def __init__(self, version: str | os.PathLike):
        try:
            graph = read_graph_file(version).meta_graphs[0]
            self._library = _library()
            self._graph, self._session = self._library.load(version)
        except (Refused, OSError, IndexError) as error:
            raise UserError(
                f"{version}: cannot be loaded as a SavedModel: {error}"
            ) from error
        weakref.finalize(
            self, self._library.close, self._graph, self._session
        ).atexit = False
        self._version = version
        self._signatures = {
            name: signature
            for name, signature in graph.signature_def.items()
            if not name.startswith("__")
        }
        self.inputs, self.outputs = (
            {
                name: {
                    key: DTYPES.get(tensor.dtype)
                    for key, tensor in sorted(getattr(found, side).items())
                }
                for name, found in sorted(self._signatures.items())
            }
            for side in ("inputs", "outputs")
        )

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature, by name, in the order of their names.

        Args:
          signature: its name.
          inputs: name -> array of the dtype that `inputs` says.

        Raises:
          UserError: the model refuses the inputs.
        """
        asked = self._signatures[signature]
        named = {asked.inputs[n].name: array for n, array in inputs.items()}
        # A map of protobuf has another order in each process.
        outputs = sorted(asked.outputs)
        wanted = [asked.outputs[name].name for name in outputs]
        try:
            found = self._library.run(self._graph, self._session, named, wanted)
        except Refused as error:
            raise UserError(f"{self._version}: {error}") from error
        return dict(zip(outputs, found, strict=True))


class _Library:
    """TensorFlow's shared libraries, with the operations of TF.Text."""

    def __init__(self):
        core = _folder("tensorflow")
        mode = ctypes.RTLD_GLOBAL
        # Later parts come first.
        paths = [
            str(_shared(core, name))
            for name in ("libtensorflow_cc", "libtensorflow_framework")
        ]
        self._long = [ctypes.CDLL(path, mode) for path in paths[::-1]][::-1]
        # The same, without letting other threads of Python in: a call that
        # takes a microsecond would wait milliseconds for its next turn.
        self._short = [ctypes.PyDLL(path, mode) for path in paths]
        self._functions: dict = {}
        self._own = threading.local()
        operations = _folder("tensorflow_text") / "python" / "ops"
        for path in sorted(operations.glob("*.so")):
            self._checked("TF_LoadLibrary", _POINTER, os.fsencode(path))

    @property
    def _status(self) -> _POINTER:
        """Of the calling thread: what its last call came to."""
        status = getattr(self._own, "status", None)
        if status is None:
            status = _POINTER(self._call("TF_NewStatus", _POINTER))
            self._own.status = status
        return status

    def _call(self, name: str, kind, *arguments):
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._function(name, kind)
        # 64-bit unless it says otherwise: a bare int would be cut to 32.
        return function(
            *[ctypes.c_int64(a) if type(a) is int else a for a in arguments]
        )

    def _function(self, name: str, kind):
        for part in self._long if name in _LONG else self._short:
            if hasattr(part, name):
                function = getattr(part, name)
                function.restype = kind
                return function
        raise OSError(f"TensorFlow's library has no {name}")

    def _checked(self, name: str, kind, *arguments):
        result = self._call(name, kind, *arguments, self._status)
        if self._call("TF_GetCode", ctypes.c_int, self._status):
            text = self._call("TF_Message", ctypes.c_char_p, self._status)
            raise Refused(text.decode("utf-8", "replace"))
        return result

    def load(self, version: str | os.PathLike) -> tuple[_POINTER, _POINTER]:
        """(graph, session) of a SavedModel."""
        graph = _POINTER(self._call("TF_NewGraph", _POINTER))
        options = _POINTER(self._call("TF_NewSessionOptions", _POINTER))
        tags = (ctypes.c_char_p * 1)(b"serve")
        folder = os.fsencode(version)
        try:
            with sifted_notices():
                session = self._checked(
                    "TF_LoadSessionFromSavedModel",
                    _POINTER,
                    *(options, None, folder, tags, 1, graph, None),
                )
        except Refused:
            self._call("TF_DeleteGraph", None, graph)
            raise
        finally:
            self._call("TF_DeleteSessionOptions", None, options)
        return graph, _POINTER(session)

    def close(self, graph: _POINTER, session: _POINTER) -> None:
        """Gives the memory of a model back."""
        self._call("TF_CloseSession", None, session, self._status)
        self._call("TF_DeleteSession", None, session, self._status)
        self._call("TF_DeleteGraph", None, graph)

    def run(
        self,
        graph: _POINTER,
        session: _POINTER,
        inputs: Mapping[str, np.ndarray],
        outputs: list[str],
    ) -> list[np.ndarray]:
        """The tensors with the names `outputs`."""
        fed = [self._output(graph, name) for name in inputs]
        wanted = [self._output(graph, name) for name in outputs]
        answers = (_POINTER * len(wanted))()
        given = [self._tensor(array) for array in inputs.values()]
        try:
            self._checked(
                "TF_SessionRun",
                None,
                session,
                None,
                (_Output * len(fed))(*fed),
                (_POINTER * len(fed))(*(tensor.value for tensor in given)),
                len(fed),
                (_Output * len(wanted))(*wanted),
                answers,
                len(wanted),
                None,
                0,
                None,
            )
            return [self._array(_POINTER(answer)) for answer in answers]
        finally:
            for array, tensor in zip(inputs.values(), given, strict=True):
                self._delete_input(array, tensor)
            for answer in filter(None, answers):
                self._call("TF_DeleteTensor", None, _POINTER(answer))

    def _output(self, graph: _POINTER, tensor_name: str) -> _Output:
        name, _, index = tensor_name.partition(":")
        operation = self._call(
            "TF_GraphOperationByName", _POINTER, graph, name.encode()
        )
        if not operation:
            raise Refused(f"the graph has no operation {name}")
        return _Output(operation, int(index))

    def _tensor(self, array: np.ndarray) -> _POINTER:
        is_text = array.dtype == object
        width = _STRING_SIZE if is_text else array.dtype.itemsize
        tensor = _POINTER(
            self._call(
                "TF_AllocateTensor",
                _POINTER,
                _NUMBERS[array.dtype],
                (ctypes.c_int64 * array.ndim)(*array.shape),
                array.ndim,
                width * array.size,
            )
        )
        start = self._call("TF_TensorData", _POINTER, tensor) or 0
        if not is_text:
            data = np.ascontiguousarray(array).tobytes()
            ctypes.memmove(start, data, len(data))
            return tensor
        for place, value in enumerate(array.reshape(-1)):
            string = _POINTER(start + place * _STRING_SIZE)
            self._call("TF_StringInit", None, string)
            self._call("TF_StringCopy", None, string, value, len(value))
        return tensor

    def _delete_input(self, array: np.ndarray, tensor: _POINTER) -> None:
        if array.dtype == object:
            start = self._call("TF_TensorData", _POINTER, tensor) or 0
            for place in range(array.size):
                string = _POINTER(start + place * _STRING_SIZE)
                self._call("TF_StringDealloc", None, string)
        self._call("TF_DeleteTensor", None, tensor)

    def _array(self, tensor: _POINTER) -> np.ndarray:
        number = self._call("TF_TensorType", ctypes.c_int, tensor)
        rank = self._call("TF_NumDims", ctypes.c_int, tensor)
        shape = [
            self._call("TF_Dim", ctypes.c_int64, tensor, axis)
            for axis in range(rank)
        ]
        start = self._call("TF_TensorData", _POINTER, tensor) or 0
        if number != _STRING:
            size = self._call("TF_TensorByteSize", ctypes.c_size_t, tensor)
            data = ctypes.string_at(start, size) if size else b""
            return np.frombuffer(data, DTYPES[number]).reshape(shape)
        count = int(np.prod(shape))
        array = np.empty(count, object)
        for place in range(count):
            array[place] = self._string(start + place * _STRING_SIZE)
        return array.reshape(shape)

    def _string(self, place: int) -> bytes:
        string = _POINTER(place)
        size = self._call("TF_StringGetSize", ctypes.c_size_t, string)
        data = self._call("TF_StringGetDataPointer", _POINTER, string)
        return ctypes.string_at(data, size) if size else b""


@functools.cache
def _library() -> _Library:
    with sifted_notices():
        return _Library()


def _folder(package: str) -> Path:
    """Where a package is installed; it is not imported."""
    found = importlib.util.find_spec(package)
    if found is None:
        raise UserError(f"wanted the package {package}, which is not installed")
    return Path(found.submodule_search_locations[0])


def _shared(folder: Path, name: str) -> Path:
    """The shared library of that name, whatever its ending."""
    for path in sorted(folder.glob(f"{name}.*")):
        return path
    raise UserError(
        f"wanted TensorFlow's C library {name} in {folder}, found none; "
        "install tensorflow as its wheels from PyPI have it"
    )
