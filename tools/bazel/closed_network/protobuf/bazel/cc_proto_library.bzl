"""The name under which the real protobuf module has it."""

cc_proto_library = native.cc_proto_library
