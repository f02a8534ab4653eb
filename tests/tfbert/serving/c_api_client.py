"""Asks a SavedModel through TensorFlow's C API, without Python TensorFlow.

It is the loader that TF Serving links. Run as a script:

    python c_api_client.py SITE_PACKAGES REQUESTS.json

The file holds {folder of a SavedModel: {key: request}}, and a request
"inputs" ({tensor name: tensor}) and "outputs" ({name: tensor name}). The
answer is {folder: {key: [{name: tensor}, peak]}} on stdout; to a request that
fails it is [{"error": message}, peak]; the peak is of the process's memory
until then, in bytes. A tensor is {"dtype", "shape", "values"}, the values
flat; the bytes of a string are characters of Latin-1.
"""

import ctypes
import glob
import json
import math
import struct
import sys

# Name -> TF_DataType, and how `struct` packs it.
TYPES = {
    "float32": (1, "f"),
    "int32": (3, "i"),
    "string": (7, ""),
    "int64": (9, "q"),
    "bool": (10, "?"),
}
NAMES = {number: name for name, (number, _) in TYPES.items()}
# sizeof(TF_TString)
STRING_SIZE = 24


class Refused(Exception):
    """TensorFlow answers with an error."""


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Library:
    def __init__(self, site_packages):
        mode = ctypes.RTLD_GLOBAL
        folder = f"{site_packages}/tensorflow"
        self.base = ctypes.CDLL(f"{folder}/libtensorflow_framework.so.2", mode)
        self.api = ctypes.CDLL(f"{folder}/libtensorflow_cc.so.2", mode)
        self.status = self.call("TF_NewStatus", ctypes.c_void_p)
        for path in glob.glob(f"{site_packages}/tensorflow_text/python/ops/*"):
            if path.endswith((".so", ".dylib")):
                self.checked("TF_LoadLibrary", ctypes.c_void_p, path.encode())

    def call(self, name, kind, *arguments):
        try:
            function = getattr(self.api, name)
        except AttributeError:
            function = getattr(self.base, name)
        function.restype = kind
        # 64-bit unless it says otherwise: a bare int would be cut to 32.
        return function(
            *(ctypes.c_int64(a) if type(a) is int else a for a in arguments)
        )

    def checked(self, name, kind, *arguments):
        status = ctypes.c_void_p(self.status)
        result = self.call(name, kind, *arguments, status)
        if self.call("TF_GetCode", ctypes.c_int, status):
            message = self.call("TF_Message", ctypes.c_char_p, status)
            raise Refused(f"{name}: {message.decode()}")
        return result

    def load(self, model):
        self.graph = ctypes.c_void_p(self.call("TF_NewGraph", ctypes.c_void_p))
        options = self.call("TF_NewSessionOptions", ctypes.c_void_p)
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = ctypes.c_void_p(
            self.checked(
                "TF_LoadSessionFromSavedModel",
                ctypes.c_void_p,
                ctypes.c_void_p(options),
                None,
                model.encode(),
                tags,
                1,
                self.graph,
                None,
            )
        )

    def output(self, tensor_name):
        name, index = tensor_name.split(":")
        operation = self.call(
            "TF_GraphOperationByName",
            ctypes.c_void_p,
            self.graph,
            name.encode(),
        )
        assert operation, tensor_name
        return Output(operation, int(index))

    def tensor(self, given):
        """A TF_Tensor of {"dtype", "shape", "values"}."""
        number, code = TYPES[given["dtype"]]
        shape, values = given["shape"], given["values"]
        width = struct.calcsize(f"<{code}") if code else STRING_SIZE
        tensor = ctypes.c_void_p(
            self.call(
                "TF_AllocateTensor",
                ctypes.c_void_p,
                number,
                (ctypes.c_int64 * len(shape))(*shape),
                len(shape),
                width * len(values),
            )
        )
        start = self.call("TF_TensorData", ctypes.c_void_p, tensor) or 0
        if code:
            data = struct.pack(f"<{len(values)}{code}", *values)
            if data:
                ctypes.memmove(start, data, len(data))
            return tensor
        for place, value in enumerate(values):
            place = ctypes.c_void_p(start + place * STRING_SIZE)
            data = value.encode("latin-1")
            self.call("TF_StringInit", None, place)
            self.call("TF_StringCopy", None, place, data, len(data))
        return tensor

    def read(self, tensor):
        """{"dtype", "shape", "values"} of a TF_Tensor."""
        dtype = NAMES[self.call("TF_TensorType", ctypes.c_int, tensor)]
        rank = self.call("TF_NumDims", ctypes.c_int, tensor)
        shape = [
            self.call("TF_Dim", ctypes.c_int64, tensor, axis)
            for axis in range(rank)
        ]
        start = self.call("TF_TensorData", ctypes.c_void_p, tensor)
        count = math.prod(shape)
        code = TYPES[dtype][1]
        if code:
            size = self.call("TF_TensorByteSize", ctypes.c_size_t, tensor)
            data = ctypes.string_at(start, size) if size else b""
            values = list(struct.unpack(f"<{count}{code}", data))
        else:
            values = [
                self.string(start + i * STRING_SIZE) for i in range(count)
            ]
        return {"dtype": dtype, "shape": shape, "values": values}

    def string(self, place):
        place = ctypes.c_void_p(place)
        size = self.call("TF_StringGetSize", ctypes.c_size_t, place)
        data = self.call("TF_StringGetDataPointer", ctypes.c_void_p, place)
        return ctypes.string_at(data, size).decode("latin-1")

    def run(self, inputs, outputs):
        fed = [self.output(name) for name in inputs]
        values = [self.tensor(given) for given in inputs.values()]
        wanted = [self.output(name) for name in outputs.values()]
        answers = (ctypes.c_void_p * len(wanted))()
        self.checked(
            "TF_SessionRun",
            None,
            self.session,
            None,
            (Output * len(fed))(*fed),
            (ctypes.c_void_p * len(fed))(*(v.value for v in values)),
            len(fed),
            (Output * len(wanted))(*wanted),
            answers,
            len(wanted),
            None,
            0,
            None,
        )
        return {
            name: self.read(ctypes.c_void_p(answer))
            for name, answer in zip(outputs, answers, strict=True)
        }


def answer(library, request):
    try:
        found = library.run(request["inputs"], request["outputs"])
    except Refused as error:
        found = {"error": str(error)}
    return found, peak()


def peak():
    """The most memory that this process has had, in bytes.

    Not ru_maxrss, which a process inherits from the one that started it.
    """
    with open("/proc/self/status", encoding="ascii") as stream:
        [line] = [row for row in stream if row.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def main():
    site_packages, path = sys.argv[1:]
    with open(path, encoding="utf-8") as stream:
        requests = json.load(stream)
    library = Library(site_packages)
    answers = {}
    for model, asked in requests.items():
        library.load(model)
        answers[model] = {
            key: answer(library, request) for key, request in asked.items()
        }
    assert "tensorflow" not in sys.modules
    json.dump(answers, sys.stdout)


main()
