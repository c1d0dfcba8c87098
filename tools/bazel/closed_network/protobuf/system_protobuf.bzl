"""Makes the installed protoc and the well-known types that come with it visible to Bazel."""

_BUILD = """
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
"""

def _system_protobuf_impl(repository_ctx):
    repository_ctx.symlink("/usr/bin/protoc", "protoc")
    repository_ctx.symlink("/usr/include/google", "google")
    repository_ctx.file("BUILD.bazel", _BUILD)

system_protobuf = repository_rule(
    implementation = _system_protobuf_impl,
    local = True,
)
