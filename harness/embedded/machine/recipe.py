"""What a Dockerfile asks for: a configuration and the steps that bring files. Evaluates without building.

Instructions that the embedded cluster cannot keep are refused here, with file and line. Knows nothing of
where images lie.
"""

from __future__ import annotations

import difflib
import platform
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.embedded.machine import dockerfile
from harness.embedded.machine.dockerfile import Instruction
from harness.errors import InputError

NO_RUN = (
    "not on the embedded cluster, which installs nothing: "
    "use `FROM runtime`, where Python and its packages are, and COPY"
)
BRINGS_FILES = frozenset({"RUN", "COPY", "ADD"})
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
PLATFORM = {"TARGETOS": "linux", "TARGETARCH": ARCHITECTURES.get(platform.machine(), platform.machine())}
PLATFORM["TARGETPLATFORM"] = f"linux/{PLATFORM['TARGETARCH']}"


@dataclass(frozen=True)
class Config:
    """How an image runs."""

    scratch: bool
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = ""
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    shell: Sequence[str] = ("/bin/sh", "-c")


@dataclass(frozen=True)
class Copy:
    """Files to bring: sources in the context, in an earlier stage (number) or in another image (name)."""

    instruction: Instruction
    sources: Sequence[str]
    destination: str
    origin: int | str | None = None
    owner: str = ""
    mode: int | None = None


@dataclass(frozen=True)
class Folder:
    """A directory to make."""

    path: str


@dataclass
class Stage:
    """One FROM and what follows it.

    `base` is an image, the number of an earlier stage, or None for an empty root.
    """

    name: str
    base: str | int | None
    config: Config
    arguments: dict[str, str] = field(default_factory=dict)
    steps: list[Copy | Folder] = field(default_factory=list)
    command_set: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """What `$name` means here."""
        return {**self.arguments, **self.config.env}


@dataclass(frozen=True)
class Recipe:
    """A whole Dockerfile; the last stage is the image."""

    instructions: Sequence[Instruction]
    stages: Sequence[Stage]

    @property
    def config(self) -> Config:
        """The image's configuration."""
        return self.stages[-1].config


BaseOf = Callable[[Instruction, str], Config]
"""The configuration of the image that a FROM or COPY --from names; InputError for an unknown one."""


def evaluate(
    instructions: Sequence[Instruction], where: str, base_of: BaseOf, machine: Config | None = None
) -> Recipe:
    """The recipe of a Dockerfile. `machine`: this is the base image.

    That configuration stands for its FROM and for all that brings files.
    """
    globals_: dict[str, str] = {}
    stages: list[Stage] = []
    for instruction in instructions:
        if instruction.name == "FROM":
            stages.append(_stage(instruction, stages, globals_, base_of, machine))
        elif instruction.name == "ARG":
            _argument(instruction, stages[-1] if stages else None, globals_)
        elif not stages:
            raise instruction.wrong("a Dockerfile begins with FROM")
        elif machine is None or instruction.name not in BRINGS_FILES:
            handler = HANDLERS.get(instruction.name, _unknown)
            handler(instruction, stages[-1], stages, base_of)
    if not stages:
        raise InputError(f"{where}: has no FROM")
    return Recipe(instructions, stages)


def _stage(
    instruction: Instruction,
    stages: list[Stage],
    globals_: dict[str, str],
    base_of: BaseOf,
    machine: Config | None,
) -> Stage:
    parts = [
        dockerfile.expand(instruction, word, globals_)
        for word in dockerfile.words(instruction, instruction.value)
    ]
    if parts and parts[0].startswith("--platform="):
        del parts[0]  # there is one platform, this machine's
    if len(parts) == 3 and parts[1].lower() == "as":
        name = parts[2].lower()
    elif len(parts) == 1:
        name = ""
    else:
        raise instruction.wrong("write FROM image, or FROM image AS name")
    base: str | int | None = parts[0]
    earlier = next(
        (number for number, stage in enumerate(stages) if stage.name and stage.name == parts[0].lower()), None
    )
    if machine is not None:
        config, base = machine, None
    elif parts[0] == "scratch":
        config, base = Config(scratch=True), None
    elif earlier is not None:
        config, base = stages[earlier].config, earlier
    else:
        config = base_of(instruction, parts[0])
    return Stage(name, base, config)


def _argument(instruction: Instruction, stage: Stage | None, globals_: dict[str, str]) -> None:
    for word in dockerfile.words(instruction, instruction.value):
        name, equals, default = word.partition("=")
        known = {**PLATFORM, **globals_}
        if stage is None:
            globals_[name] = dockerfile.expand(instruction, default, globals_)
        elif equals:
            stage.arguments[name] = dockerfile.expand(instruction, default, stage.variables)
        elif name in known:
            stage.arguments[name] = known[name]


Handler = Callable[[Instruction, Stage, list[Stage], BaseOf], None]


def _env(instruction: Instruction, stage: Stage, *_: object) -> None:
    stage.config = replace(
        stage.config, env={**stage.config.env, **dockerfile.pairs(instruction, stage.variables)}
    )


def _label(instruction: Instruction, stage: Stage, *_: object) -> None:
    stage.config = replace(
        stage.config, labels={**stage.config.labels, **dockerfile.pairs(instruction, stage.variables)}
    )


def _user(instruction: Instruction, stage: Stage, *_: object) -> None:
    stage.config = replace(
        stage.config, user=dockerfile.expand(instruction, instruction.value, stage.variables)
    )


def _working_dir(instruction: Instruction, stage: Stage, *_: object) -> None:
    path = _absolute(stage, dockerfile.expand(instruction, instruction.value, stage.variables))
    stage.config = replace(stage.config, working_dir=path)
    stage.steps.append(Folder(path))


def _command(instruction: Instruction, stage: Stage, *_: object) -> None:
    listed = dockerfile.json_list(instruction.value)
    line = [*stage.config.shell, instruction.value] if listed is None else listed
    if instruction.name == "CMD":
        stage.config, stage.command_set = replace(stage.config, command=line), True
    else:  # an inherited CMD was made for the inherited entry point
        command = stage.config.command if stage.command_set else ()
        stage.config = replace(stage.config, entrypoint=line, command=command)


def _shell(instruction: Instruction, stage: Stage, *_: object) -> None:
    listed = dockerfile.json_list(instruction.value)
    if not listed:
        raise instruction.wrong('write SHELL ["program", "argument"]')
    stage.config = replace(stage.config, shell=listed)


def _volume(instruction: Instruction, stage: Stage, *_: object) -> None:
    listed = dockerfile.json_list(instruction.value)
    for path in listed if listed is not None else dockerfile.words(instruction, instruction.value):
        stage.steps.append(Folder(_absolute(stage, dockerfile.expand(instruction, path, stage.variables))))


def _stop_signal(instruction: Instruction, *_: object) -> None:
    if instruction.value not in ("SIGTERM", "TERM", "15"):
        raise instruction.wrong("the embedded cluster sends SIGTERM only; remove it, or handle SIGTERM")


def _refused(why: str) -> Handler:
    def handler(instruction: Instruction, *_: object) -> None:
        raise instruction.wrong(why)

    return handler


def _unknown(instruction: Instruction, *_: object) -> None:
    near = difflib.get_close_matches(instruction.name, [*HANDLERS, "ARG", "FROM"], n=1)
    raise instruction.wrong("no such instruction" + (f"; did you mean {near[0]}?" if near else ""))


def _nothing(*_: object) -> None:
    """An instruction that changes nothing in a Kubernetes pod."""


def _copy(instruction: Instruction, stage: Stage, stages: list[Stage], base_of: BaseOf) -> None:
    options, text = {}, instruction.value
    while text.startswith("--"):
        option, _, text = text.partition(" ")
        name, _, value = option.partition("=")
        options[name], text = dockerfile.expand(instruction, value, stage.variables), text.lstrip()
    if unknown := set(options) - {"--from", "--chown", "--chmod", "--link"}:
        raise instruction.wrong(f"option {min(unknown)} is not supported")
    listed = dockerfile.json_list(text)
    parts = dockerfile.words(instruction, text) if listed is None else listed
    parts = (
        [dockerfile.expand(instruction, part, stage.variables) for part in parts] if listed is None else parts
    )
    if len(parts) < 2:
        raise instruction.wrong("needs a source and a destination")
    *sources, target = parts
    if instruction.name == "ADD" and (
        bad := next((s for s in sources if "://" in s or _is_archive(s)), None)
    ):
        raise instruction.wrong(
            f"{bad}: URLs and archives are not supported; unpack it beside the Dockerfile and COPY it"
        )
    if len(sources) > 1 and not target.endswith("/"):
        raise instruction.wrong(f"several sources need a destination that ends with /, not {target!r}")
    origin = _origin(instruction, options.get("--from"), stages, base_of)
    mode = _mode(instruction, options.get("--chmod"))
    slash = "/" if target.endswith(("/", "/.")) or target == "." else ""
    destination = _absolute(stage, target).rstrip("/") + slash
    stage.steps.append(
        Copy(instruction, sources, destination or "/", origin, options.get("--chown", ""), mode)
    )


def _is_archive(source: str) -> bool:
    return source.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"))


def _origin(
    instruction: Instruction, name: str | None, stages: list[Stage], base_of: BaseOf
) -> int | str | None:
    if name is None:
        return None
    for number, stage in enumerate(stages[:-1]):
        if name.lower() == stage.name or name == str(number):
            return number
    base_of(instruction, name)
    return name


def _mode(instruction: Instruction, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text, 8)
    except ValueError:
        raise instruction.wrong(f"--chmod={text}: only octal modes are supported, such as 755") from None


def _absolute(stage: Stage, path: str) -> str:
    return posixpath.normpath(posixpath.join(stage.config.working_dir or "/", path)).replace("//", "/")


HANDLERS: dict[str, Handler] = {
    "ADD": _copy,
    "CMD": _command,
    "COPY": _copy,
    "ENTRYPOINT": _command,
    "ENV": _env,
    "EXPOSE": _nothing,
    "HEALTHCHECK": _nothing,  # Kubernetes has probes of its own and never looks at it
    "LABEL": _label,
    "MAINTAINER": _nothing,
    "ONBUILD": _refused("not supported; write the instruction where it is needed"),
    "RUN": _refused(NO_RUN),
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _working_dir,
}
