"""Makes the installed protoc, its well-known types and its C++ library visible to Bazel."""

_BUILD = """
load("@rules_cc//cc:cc_library.bzl", "cc_library")

package(default_visibility = ["//visibility:public"])

exports_files(["protoc"])

[
    proto_library(
        name = well_known + "_proto",
        srcs = ["google/protobuf/%s.proto" % well_known],
        strip_import_prefix = "/",
    )
    for well_known in ["duration", "timestamp"]
]

# Its headers are among the compiler's own.
cc_library(
    name = "protobuf",
    linkopts = ["-lprotobuf"],
)
"""

def _system_protobuf_impl(repository_ctx):
    repository_ctx.symlink("/usr/bin/protoc", "protoc")
    repository_ctx.symlink("/usr/include/google", "google")
    repository_ctx.file("BUILD.bazel", _BUILD)

system_protobuf = repository_rule(
    implementation = _system_protobuf_impl,
    local = True,
)
