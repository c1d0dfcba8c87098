"""`pip.parse` where Bazel cannot download: Debian's pip does, from where it is configured to.

As with rules_python, each package of the lock is a label, `@pypi//grpcio_tools`, with what it requires.
"""

_BUILD = """
load("@rules_python//python:py_library.bzl", "py_library")

py_library(
    name = "{name}",
    srcs = glob(["site-packages/**/*.py"]),
    data = glob(
        ["site-packages/**"],
        exclude = ["site-packages/**/*.py"],
    ),
    imports = ["site-packages"],
    visibility = ["//visibility:public"],
    deps = {deps},
)
"""

def _normalized(name):
    return name.lower().replace("-", "_").replace(".", "_")

def _required(metadata):
    """The names in the METADATA of a wheel, without those of its extras."""
    names = []
    for line in metadata.splitlines():
        if not line:
            break  # What follows is the description.
        if line.startswith("Requires-Dist: ") and "extra ==" not in line:
            name = line.removeprefix("Requires-Dist: ")
            for end in " ;[(<>=!~".elems():
                name = name.split(end)[0]
            names.append(_normalized(name))
    return names

def _hub_impl(repository_ctx):
    pip = repository_ctx.execute(
        ["/usr/bin/python3", "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"] +
        ["--dest=wheels", "--requirement", repository_ctx.path(repository_ctx.attr.requirements_lock)],
    )
    if pip.return_code != 0:
        fail("pip cannot get what %s names; is PyPI reachable?\n%s" % (repository_ctx.attr.requirements_lock, pip.stderr))

    required = {}
    for wheel in repository_ctx.path("wheels").readdir():
        name = _normalized(wheel.basename.split("-")[0])
        archive = "wheels/%s.zip" % name
        repository_ctx.symlink(wheel, archive)
        repository_ctx.extract(archive, name + "/site-packages")
        for folder in repository_ctx.path(name + "/site-packages").readdir():
            if folder.basename.endswith(".dist-info"):
                required[name] = _required(repository_ctx.read(folder.get_child("METADATA")))
    repository_ctx.delete("wheels")

    for name, needs in required.items():
        # A requirement that is not in the lock is another system's.
        deps = ["//" + need for need in needs if need in required]
        repository_ctx.file(name + "/BUILD.bazel", _BUILD.format(name = name, deps = deps))

_hub = repository_rule(
    implementation = _hub_impl,
    attrs = {"requirements_lock": attr.label(mandatory = True)},
)

def _pip_impl(module_ctx):
    for module in module_ctx.modules:
        for parse in module.tags.parse:
            _hub(
                name = parse.hub_name,
                requirements_lock = parse.requirements_lock,
            )

pip = module_extension(
    implementation = _pip_impl,
    tag_classes = {
        "parse": tag_class(attrs = {
            "hub_name": attr.string(mandatory = True),
            # Debian has one Python.
            "python_version": attr.string(),
            "requirements_lock": attr.label(mandatory = True),
        }),
    },
)
