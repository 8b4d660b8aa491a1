"""Generate the Python stubs of the .proto files in this directory.

Usage: python protos/generate.py [OUTPUT_DIR]   (default: reservation_worker/stubs)

protoc makes stubs that import a top-level package `proto`, which collides with the
well-known proto-plus distribution. So the stubs live under reservation_worker.stubs
and their imports are rewritten here.
"""

import re
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

SOURCE = Path(__file__).resolve().parent
DEFAULT_OUTPUT = SOURCE.parent / "reservation_worker" / "stubs"
PACKAGE = "reservation_worker.stubs"


def generate(output: Path) -> None:
    """Write the stubs of every .proto file below SOURCE to `output`.

    Raises RuntimeError when protoc reports an error (its text goes to stderr).
    """
    output.mkdir(parents=True, exist_ok=True)
    arguments = [
        "protoc",
        f"--proto_path={SOURCE}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={output}",
        f"--pyi_out={output}",
        f"--grpc_python_out={output}",
        *sorted(str(path) for path in SOURCE.rglob("*.proto")),
    ]
    if protoc.main(arguments):
        raise RuntimeError("protoc failed, see its message above")
    for stub in (*output.rglob("*_pb2*.py"), *output.rglob("*_pb2.pyi")):
        text = re.sub(r"^from proto\.", f"from {PACKAGE}.proto.", stub.read_text(), flags=re.M)
        stub.write_text(text)
    for stub in output.rglob("*_pb2_grpc.py"):
        if "add_" not in stub.read_text():  # of a file without a service: nobody imports it
            stub.unlink()
    for directory in (output, *(path for path in output.rglob("*") if path.is_dir())):
        if directory.name != "__pycache__":
            (directory / "__init__.py").touch()


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUTPUT)
