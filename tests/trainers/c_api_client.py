"""Asks a SavedModel through TensorFlow's C API, without Python TensorFlow.

It is the loader that TF Serving links. Run as a script:

    python c_api_client.py SITE_PACKAGES REQUEST.json

The request holds "model", "inputs" ({tensor name: [strings]}) and "outputs"
({name: [tensor name, "string" or "float32"]}); the answer is JSON on stdout.
"""

import ctypes
import glob
import json
import struct
import sys

STRING, FLOAT = 7, 1
# sizeof(TF_TString)
STRING_SIZE = 24


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
            raise RuntimeError(f"{name}: {message.decode()}")
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

    def strings(self, values):
        count = len(values)
        size = count * STRING_SIZE
        tensor = ctypes.c_void_p(
            self.call(
                "TF_AllocateTensor",
                ctypes.c_void_p,
                STRING,
                (ctypes.c_int64 * 1)(count),
                1,
                size,
            )
        )
        start = self.call("TF_TensorData", ctypes.c_void_p, tensor) or 0
        for number, value in enumerate(values):
            place = ctypes.c_void_p(start + number * STRING_SIZE)
            data = value.encode("utf-8", "surrogateescape")
            self.call("TF_StringInit", None, place)
            self.call("TF_StringCopy", None, place, data, len(data))
        return tensor

    def read(self, tensor, kind):
        rank = self.call("TF_NumDims", ctypes.c_int, tensor)
        shape = [
            self.call("TF_Dim", ctypes.c_int64, tensor, axis)
            for axis in range(rank)
        ]
        start = self.call("TF_TensorData", ctypes.c_void_p, tensor)
        if kind == "string":
            return [
                self.string(start + i * STRING_SIZE) for i in range(shape[0])
            ]
        rows, width = shape
        data = ctypes.string_at(start, 4 * rows * width) if rows else b""
        flat = struct.unpack(f"<{rows * width}f", data)
        return [list(flat[i * width : (i + 1) * width]) for i in range(rows)]

    def string(self, place):
        place = ctypes.c_void_p(place)
        size = self.call("TF_StringGetSize", ctypes.c_size_t, place)
        data = self.call("TF_StringGetDataPointer", ctypes.c_void_p, place)
        return ctypes.string_at(data, size).decode()

    def run(self, inputs, outputs):
        fed = [self.output(name) for name in inputs]
        values = [self.strings(column) for column in inputs.values()]
        wanted = [self.output(name) for name, _ in outputs.values()]
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
            name: self.read(ctypes.c_void_p(answer), kind)
            for (name, (_, kind)), answer in zip(
                outputs.items(), answers, strict=True
            )
        }


def main():
    site_packages, request_path = sys.argv[1:]
    with open(request_path, encoding="utf-8") as stream:
        request = json.load(stream)
    library = Library(site_packages)
    library.load(request["model"])
    answer = library.run(request["inputs"], request["outputs"])
    assert "tensorflow" not in sys.modules
    print(json.dumps(answer))


main()
