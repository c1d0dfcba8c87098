"""The name under which the real protobuf module has it."""

proto_library = native.proto_library
