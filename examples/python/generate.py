#!/usr/bin/env python3
"""Generates Python types from //proto into a directory (default: gen/ next to this file), which is not committed."""

import pathlib
import sys

import grpc_tools
from grpc_tools import protoc

HERE = pathlib.Path(__file__).absolute().parent
PROTO = HERE.parents[1] / "proto"


def main() -> int:
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "gen"
    out.mkdir(parents=True, exist_ok=True)
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    sources = sorted(str(path) for path in (PROTO / "telemetry" / "v1").glob("*.proto"))
    options = [f"--proto_path={PROTO}", f"--proto_path={well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    return protoc.main(["protoc", *options, *sources])


if __name__ == "__main__":
    sys.exit(main())
