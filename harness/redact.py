"""What is secret in a run's input, and texts without it. Knows nothing of files, clusters or reports.

Three things give a secret away: the name under which it is given (an environment variable, an option, a header,
a field of a log line), its own form (a bearer token, a JSON Web Token, a private key in PEM, a URL with a
password), and that it was met before: a value that an environment variable or header of the input gives is
redacted wherever it turns up again, in a log for instance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any

import yaml

MARK = "[redacted]"
SHORTEST = 6  # characters of a value that is looked for everywhere; shorter ones are parts of harmless words
PLAIN = re.compile(r"|true|false|yes|no|on|off|none|null|\d{1,4}|\$\([\w.-]+\)", re.IGNORECASE)
"""Values that hide nothing: switches, small numbers, another variable's name."""

WORD = r"(?:token|password|passwd|passphrase|secret|credentials?|(?:api|private|access|auth|secret|signing)[-_.]?key)"
SECRET_END = re.compile(rf"(?:.*{WORD}s?|(?:.*_)?(?:pass|pwd|key))", re.IGNORECASE)
"""Names that end like a secret. One that ends otherwise tells about it: TOKEN_FILE, PASSWORD_MIN_LENGTH, KEY_NAME."""
HARMLESS = re.compile(
    r"(?:.*_)?(?:public|partition|routing|sort|primary|foreign|cache)_?keys?|pwd|.*max_tokens", re.IGNORECASE
)
HEADERS = re.compile(r"authorization|proxy-authorization|cookie|set-cookie", re.IGNORECASE)

FORMS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[\w-]{10,}(?:\.[\w-]*){0,2}"),  # a JSON Web Token, cut off or whole: {" in base64
    re.compile(r"(?<=\bbearer )(?=\S*\d|\S{16})[\w.~+/-]{8,}=*", re.IGNORECASE),
    re.compile(r"(?<=\bbasic )(?=\S*[A-Z0-9=])[\w+/]{8,}={0,2}", re.IGNORECASE),
    re.compile(r"(?<=://)[^\s/@\"'<>]+:[^\s/@\"'<>]+(?=@)"),  # user and password of a URL
)
NAME = rf"[\w.-]*{WORD}s?|(?<![\w-])(?:[\w.-]*[_.-])?(?:pass|pwd)"
VALUE = r"""\\?"[^"\\]*\\?"|'[^']*'|[^\s,;&"'{}\[\])\\-][^\s,;&"'}\])\\]*"""
GIVEN = (
    re.compile(rf"(?P<name>{NAME})(?P<sign>\\?[\"']?[ \t]?[=:][ \t]?)(?P<value>{VALUE})", re.IGNORECASE),
    re.compile(rf"(?<!\S)(?P<name>--?(?:{NAME}))(?P<sign> +)(?P<value>{VALUE})", re.IGNORECASE),
)
"""name=value, name: value and --name value, in quotes or without: options, queries of URLs, fields of log lines."""


def is_secret(name: str) -> bool:
    """Whether what goes by this name is a secret itself, and not a word about one."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").replace(".", "_")
    return bool(SECRET_END.fullmatch(plain)) and not HARMLESS.fullmatch(plain)


class Redaction:
    """Of one run: its manifest and command are looked through once, and what they hide is found anywhere."""

    def __init__(self, manifest: str, command: Sequence[str], load_spec: str = "") -> None:
        """`manifest` is YAML, `load_spec` the JSON of `harness.loadspec` or nothing."""
        self._command = _after_option(command)
        nodes = list(_secrets(_compose(manifest)))
        found = {text for _, text in nodes} | set(_headers(load_spec))
        found |= {given for given, kept in zip(command, self._command, strict=True) if given != kept}
        found |= {secret for text in (manifest, *command) for secret in _by_form(text)}
        found |= {line.strip() for value in found for line in value.splitlines()}  # a log has it line by line
        forms = {form for value in found for form in (value, json.dumps(value)[1:-1])}
        self._values = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)
        self._manifest = _without([node for node, _ in nodes], manifest)

    @property
    def manifest(self) -> str:
        """The manifest as it was given, comments and order too, but for its secrets."""
        return self.text(self._manifest)

    @property
    def command(self) -> list[str]:
        """The command's words."""
        return [self.text(word) for word in self._command]

    def text(self, text: str) -> str:
        """Any text: a log line, an error of the API, a reason."""
        for value in self._values:
            text = text.replace(value, MARK)
            begun = text.rfind(value[:SHORTEST])
            if begun >= 0 and value.startswith(text[begun:]):  # a long line was cut off in its middle
                text = text[:begun] + MARK
        for form in FORMS:
            text = form.sub(MARK, text)
        for given in GIVEN:
            text = given.sub(_given, text)
        return text

    def fields(self, document: Any, names: Collection[str]) -> Any:
        """The same document of lists and mappings, with the texts redacted that are in a field of these names."""
        if isinstance(document, dict):
            return {
                key: self._texts(value) if key in names else self.fields(value, names)
                for key, value in document.items()
            }
        if isinstance(document, list):
            return [self.fields(value, names) for value in document]
        return document

    def _texts(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._texts(one) for one in value]
        if isinstance(value, dict):
            return {key: self._texts(one) for key, one in value.items()}
        return self.text(value) if isinstance(value, str) else value


def _given(match: re.Match[str]) -> str:
    bare = _bare(match)
    return f"{match['name']}{match['sign']}{match['value'].replace(bare, MARK)}" if bare else match[0]


def _bare(match: re.Match[str]) -> str:
    """The value that goes by a secret name, without quotes; nothing if it hides nothing."""
    bare = match["value"].strip("\\\"'")
    hides = is_secret(match["name"].lstrip("-")) and not PLAIN.fullmatch(bare)
    return bare if hides and not bare.startswith(MARK) else ""


def _by_form(text: str) -> Iterator[str]:
    """Secrets that a text gives away by itself; of a URL's user and password also the password alone."""
    for form in FORMS:
        for match in form.finditer(text):
            yield match[0]
            yield from match[0].split(":", 1)[1:]
    for given in GIVEN:
        yield from (_bare(match) for match in given.finditer(text))


def _after_option(words: Sequence[str]) -> list[str]:
    """Words, with what follows an option of a secret name replaced."""
    kept = list(words)
    for index, (option, value) in enumerate(pairwise(words)):
        if option.startswith("-") and is_secret(option.lstrip("-")) and not value.startswith("-"):
            kept[index + 1] = MARK
    return kept


# -- the manifest, as YAML's nodes: each knows its place in the text -------------------------------------------


def _compose(manifest: str) -> list[yaml.Node]:
    try:
        return [node for node in yaml.compose_all(manifest, yaml.SafeLoader) if node is not None]
    except yaml.YAMLError:
        return []  # what cannot be read is refused elsewhere


def _secrets(nodes: Sequence[yaml.Node]) -> Iterator[tuple[yaml.ScalarNode, str]]:
    """Scalars that are secret by the name beside them or before them."""
    for node in nodes:
        if isinstance(node, yaml.SequenceNode):
            yield from _of_sequence(node)
            yield from _secrets(node.value)
        elif isinstance(node, yaml.MappingNode):
            yield from _of_entry(node)
            yield from _secrets([value for _, value in node.value])


def _of_entry(node: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, str]]:
    """The value of an environment variable or header: a mapping with `name` and `value`."""
    fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    name, value = fields.get("name"), fields.get("value")
    if not isinstance(name, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
        return
    if (is_secret(name.value) or HEADERS.fullmatch(name.value)) and not PLAIN.fullmatch(value.value):
        yield value, value.value


def _of_sequence(node: yaml.SequenceNode) -> Iterator[tuple[yaml.ScalarNode, str]]:
    """What follows an option in a list of arguments."""
    words = [item.value if isinstance(item, yaml.ScalarNode) else "" for item in node.value]
    for item, given, kept in zip(node.value, words, _after_option(words), strict=True):
        if given != kept and isinstance(item, yaml.ScalarNode):
            yield item, given


def _without(nodes: Sequence[yaml.ScalarNode], text: str) -> str:
    places = {(node.start_mark.index, node.end_mark.index) for node in nodes}  # an alias is its anchor's node
    for begin, end in sorted(places, reverse=True):
        given = text[begin:end]
        end -= len(given) - len(given.rstrip())  # a block ends where the next line begins
        text = f"{text[:begin]}'{MARK}'{text[end:]}"
    return text


def _headers(load_spec: str) -> Iterator[str]:
    """Values of secret headers, and what follows their scheme."""
    for request in json.loads(load_spec)["requests"] if load_spec else []:
        for name, value in request["headers"].items():
            if is_secret(name) or HEADERS.fullmatch(name):
                yield value
                yield from value.split(" ", 1)[1:]
