"""Reads messages with Python's protobuf and writes them again. Run by python_test.rs.

Input: a line with the descriptor set, then a line per message with its JSON and its protobuf. Output: a line per message with
each form of JSON that Python can write, and its protobuf. Fields are base64, separated by spaces.
"""

import base64
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

FORMS = (
    {"preserving_proto_field_name": True},
    {"preserving_proto_field_name": False},
    {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True},
    {"preserving_proto_field_name": True, "use_integers_for_enums": True},
)


def decoded(line):
    return [base64.b64decode(word) for word in line.rstrip("\n").split(" ")]


def message_class(descriptor_set):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("telemetry.v1.TelemetryMessage"))


def main():
    TelemetryMessage = message_class(*decoded(sys.stdin.readline()))
    for line in sys.stdin:
        json, protobuf = decoded(line)
        message = TelemetryMessage.FromString(protobuf)
        if json:
            # Strict: an unknown field is an error.
            assert json_format.Parse(json, TelemetryMessage()) == message, json
        written = [json_format.MessageToJson(message, indent=None, **form).encode() for form in FORMS]
        written.append(message.SerializeToString())
        print(*(base64.b64encode(encoding).decode() for encoding in written))


main()
