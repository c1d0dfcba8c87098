"""Reads the golden messages of every schema release with the generated types and writes them again without loss."""

import json
import pathlib
import sys

from google.protobuf import descriptor_pool, json_format, message_factory

import consumer
from telemetry.v1 import control_pb2, message_pb2  # noqa: F401 (registers the message types)

# Bazel starts tests in the runfiles root.
GOLDENS = pathlib.Path("proto/released").glob("1.*/golden/*.json")


def lost(expected, written, path):
    """Paths of the values in `expected` that `written` lacks. `written` may have additional, newer fields."""
    if isinstance(expected, dict) and isinstance(written, dict):
        return [
            place
            for key, value in expected.items()
            for place in (lost(value, written[key], f"{path}.{key}") if key in written else [f"{path}.{key}"])
        ]
    if isinstance(expected, list) and isinstance(written, list) and len(expected) == len(written):
        return [place for n, pair in enumerate(zip(expected, written)) for place in lost(*pair, f"{path}[{n}]")]
    return [] if expected == written else [path]


def check(golden):
    name = golden.name.split(".")[0]
    type_of_golden = message_factory.GetMessageClass(
        descriptor_pool.Default().FindMessageTypeByName(f"telemetry.v1.{name}")
    )
    text, binary = golden.read_text(), golden.with_suffix(".binpb").read_bytes()

    message = json_format.Parse(text, type_of_golden(), ignore_unknown_fields=True)
    assert message == type_of_golden.FromString(binary), "JSON and protobuf give different messages"
    written = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    assert not (places := lost(json.loads(text), written, name)), f"lost: {places}"
    assert message == type_of_golden.FromString(message.SerializeToString()), "rewritten protobuf gives another message"

    if name == "TelemetryMessage":
        for element in (text.encode(), binary):
            assert consumer.parse(element) == message, "the consumer parses another message"


def main():
    passed, failed = 0, 0
    for golden in sorted(GOLDENS):
        try:
            check(golden)
            passed += 1
        except Exception as error:  # Report any failure, then go on with the next message.
            print(f"FAILED {golden}: {type(error).__name__}: {error}")
            failed += 1
    ok = passed > 0 and failed == 0
    print(f"test result: {'ok' if ok else 'FAILED'}. {passed} passed; {failed} failed;")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
