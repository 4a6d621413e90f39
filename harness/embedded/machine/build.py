"""Builds images into the machine's memory: the files that COPY brings, and an id over all that is in one.

An image stacks by hard links on what it is made from. Knows nothing of containers; runs in the control plane.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import py_compile
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.embedded.machine import context, layout
from harness.embedded.machine.context import Context
from harness.embedded.machine.images import Catalogue, Definition, familiar
from harness.embedded.machine.process import one_id_only
from harness.embedded.machine.recipe import Copy, Folder, Stage
from harness.embedded.machine.rootfs import resolve
from harness.embedded.seams import Image, ImageNotFound
from harness.errors import InputError

COMPILE_AT_MOST = 300  # files of Python; each takes milliseconds, and an image with more carries a library


@dataclass
class Layer:
    """The files of a stage so far, and the digest of all that went into it."""

    root: Path
    scratch: bool
    digest: str

    def add(self, *facts: object) -> None:
        """Folds facts into the digest."""
        text = json.dumps([self.digest, *facts], sort_keys=True, default=str)
        self.digest = hashlib.sha256(text.encode()).hexdigest()

    def folder(self, path: str) -> Path:
        """Where a directory of the image lies in the layer, with the links on the way followed."""
        path = path if self.scratch else layout.real(os.path.normpath(path))
        return Path(str(self.root) + resolve(str(self.root), path))

    def file(self, path: str) -> Path:
        """Where a file lies, with the links on the way followed."""
        folder, name = os.path.split(path)
        return self.folder(folder) / name

    def shows_folder(self, path: str) -> bool:
        """Whether a container of this image sees a directory there."""
        if self.folder(path).is_dir():
            return True
        shown = None if self.scratch else layout.in_base(os.path.normpath(path))
        own = not self.scratch and path in (*layout.STICKY, *layout.WRITABLE)
        return own or (shown is not None and os.path.isdir(shown))


class Builder:
    """Builds each image of a catalogue once, at its first use."""

    def __init__(self, images: Catalogue, into: Path) -> None:
        self._images, self._into = images, into
        self._built: dict[str, tuple[Image, Layer]] = {}

    def refs(self) -> list[str]:
        """The names of all images, built or not."""
        return self._images.refs()

    def image(self, ref: str) -> Image:
        """The image of that name in any form; ImageNotFound."""
        definition = self._images.find(ref)
        if definition is None:
            raise ImageNotFound(self._images.missing(ref))
        try:
            return self._build(definition)[0]
        except (InputError, OSError) as error:
            raise ImageNotFound(f"image {familiar(definition.ref)} cannot be built: {error}") from error

    def _build(self, definition: Definition) -> tuple[Image, Layer]:
        if definition.ref not in self._built:
            folder = self._into / str(len(self._built) + len(os.listdir(self._into)))
            folder.mkdir()
            layers: list[Layer] = []
            for number, stage in enumerate(definition.recipe.stages):
                layers.append(self._stage(definition, stage, layers, folder / str(number)))
            layer, config = layers[-1], definition.config
            layer.add("instructions", [(i.name, i.value) for i in definition.recipe.instructions])
            if not layer.scratch:
                compile_python(layer.root)
            image = Image(
                ref=definition.ref,
                id=f"sha256:{layer.digest}",
                root=layer.root,
                scratch=layer.scratch,
                env=config.env,
                entrypoint=config.entrypoint,
                command=config.command,
                user=config.user,
                working_dir=config.working_dir,
                labels=config.labels,
            )
            self._built[definition.ref] = image, layer
        return self._built[definition.ref]

    def _layer(self, ref: str) -> Layer:
        definition = self._images.find(ref)
        assert definition is not None  # the catalogue has checked it
        return self._build(definition)[1]

    def _stage(self, definition: Definition, stage: Stage, earlier: list[Layer], root: Path) -> Layer:
        base = None
        if stage.base is not None:
            base = earlier[stage.base] if isinstance(stage.base, int) else self._layer(stage.base)
            shutil.copytree(base.root, root, symlinks=True, copy_function=os.link)
        else:
            root.mkdir(0o755)
        layer = Layer(root, stage.config.scratch, base.digest if base else "")
        beside = Context(definition.folder)
        for step in stage.steps:
            if isinstance(step, Folder):
                if not layer.shows_folder(step.path):
                    layer.folder(step.path).mkdir(0o755, parents=True)
            elif step.origin is None:
                _copy(layer, step, partial(beside.find, step.instruction), beside.has)
            else:
                origin = earlier[step.origin] if isinstance(step.origin, int) else self._layer(step.origin)
                _copy(layer, step, partial(_in_layer, step, origin), lambda _: True)
        return layer


def _in_layer(step: Copy, origin: Layer, source: str) -> list[Path]:
    """Sources in another image: its own files first, then those that the base shows there."""
    path = "/" + os.path.normpath(source).lstrip("/")
    shown = None if origin.scratch else layout.in_base(path)
    if shown is not None and not os.path.lexists(origin.file(path)):
        return [Path(shown)]
    return context.find(step.instruction, origin.root, source)


def _copy(layer: Layer, step: Copy, find: Callable[[str], list[Path]], has: Callable[[Path], bool]) -> None:
    found = [path for source in step.sources for path in find(source)]
    into_folder = step.destination.endswith("/") or len(found) > 1 or layer.shows_folder(step.destination)
    for path in found:
        if path.is_dir():
            target = layer.folder(step.destination)
            target.mkdir(0o755, parents=True, exist_ok=True)
            for entry in _walk(path, has):
                _bring(layer, step, entry, target / entry.relative_to(path))
        else:
            target = (
                layer.folder(step.destination) / path.name if into_folder else layer.file(step.destination)
            )
            target.parent.mkdir(0o755, parents=True, exist_ok=True)
            _bring(layer, step, path.resolve(), target)


def _walk(folder: Path, has: Callable[[Path], bool]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name == "__pycache__":
            continue  # made by running the sources; not part of an image
        if has(path):
            yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, has)


def _bring(layer: Layer, step: Copy, source: Path, target: Path) -> None:
    """Copies one entry with its mode and owner, and folds it into the digest."""
    found = source.lstat()
    mode = stat.S_IMODE(found.st_mode) if step.mode is None else step.mode
    where, content = str(target.relative_to(layer.root)), ""
    if stat.S_ISDIR(found.st_mode):
        target.mkdir(0o755, parents=True, exist_ok=True)
    else:
        target.parent.mkdir(0o755, parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # it may be a link to another image's file
        if stat.S_ISLNK(found.st_mode):
            content = os.readlink(source)
            target.symlink_to(content)
        elif stat.S_ISREG(found.st_mode):
            with source.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            shutil.copyfile(source, target)
        else:
            raise step.instruction.wrong(f"{source} is neither file, folder nor link")
    if not target.is_symlink():
        target.chmod(mode)
    _own(layer, step, target)
    layer.add(where, stat.S_IFMT(found.st_mode), mode, content, step.owner)


def _own(layer: Layer, step: Copy, target: Path) -> None:
    if step.owner and not one_id_only():
        user, _, group = step.owner.partition(":")
        uid = _number(layer, step, "/etc/passwd", user)
        os.chown(
            target, uid, _number(layer, step, "/etc/group", group) if group else uid, follow_symlinks=False
        )


def _number(layer: Layer, step: Copy, file: str, name: str) -> int:
    if name.isdigit():
        return int(name)
    own = layer.file(file)
    where = own if own.is_file() or layer.scratch else Path(file)
    with contextlib.suppress(OSError, ValueError):
        for line in where.read_text(errors="replace").splitlines():
            entry = line.split(":")
            if entry[0] == name and len(entry) > 2:
                return int(entry[2])
    raise step.instruction.wrong(f"--chown={step.owner}: no {name!r} in {file}")


def compile_python(root: Path) -> None:
    """Byte code beside the sources, so that containers need not compile.

    Checked by nobody, since images never change.
    """
    sources = [path for path in root.rglob("*.py") if path.is_file()]
    for source in sources if len(sources) <= COMPILE_AT_MOST else []:
        with contextlib.suppress(py_compile.PyCompileError, OSError):
            cached = source.parent / "__pycache__"
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            seen_as = f"/{source.relative_to(root)}"
            made = py_compile.compile(
                str(source), dfile=seen_as, doraise=True, quiet=2, invalidation_mode=mode
            )
            if made:
                cached.chmod(0o755)
                Path(made).chmod(0o644)
