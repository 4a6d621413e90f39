"""What the server says of itself: versions, groups, resources, and OpenAPI documents as far as kubectl apply
needs them.

Pure: from the registry to documents.
"""

from __future__ import annotations

from harness.embedded.api.refusals import unknown_path
from harness.embedded.api.registry import Registry
from harness.embedded.api.resources import ALL_VERBS, Kind
from harness.embedded.seams import Object

AGGREGATED = "APIGroupDiscoveryList"
REVIEWS = "authorization.k8s.io"  # served without being stored: every access is allowed
REVIEW_KIND = Kind(
    REVIEWS, "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", False
)


def version(major: str, minor: str, git_version: str) -> Object:
    """The document at /version."""
    return {
        "major": major,
        "minor": minor,
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "linux/amd64",
    }


class Discovery:
    """Documents about what a registry holds at the moment."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def _groups(self) -> dict[str, list[str]]:
        return {**self._registry.groups(), REVIEWS: ["v1"]}

    def _kinds(self, group: str, version: str) -> list[Kind]:
        return [REVIEW_KIND] if group == REVIEWS else list(self._registry.of(group, version))

    # -- one document per group and version -----------------------------------------------------------------

    def core_versions(self) -> Object:
        """/api."""
        return {"kind": "APIVersions", "apiVersion": "v1", "versions": self._groups()[""]}

    def group_list(self) -> Object:
        """/apis."""
        names = [name for name in self._groups() if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(name) for name in names]}

    def group(self, name: str) -> Object:
        """/apis/GROUP; ApiError 404."""
        if not name or name not in self._groups():
            raise unknown_path(f"/apis/{name}")
        return {"kind": "APIGroup", "apiVersion": "v1", **self._group(name)}

    def _group(self, name: str) -> Object:
        versions = [{"groupVersion": f"{name}/{found}", "version": found} for found in self._groups()[name]]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def resources(self, group: str, version: str) -> Object:
        """/api/v1, /apis/GROUP/VERSION; ApiError 404."""
        kinds = self._kinds(group, version)
        if not kinds:
            raise unknown_path(f"/apis/{group}/{version}" if group else f"/api/{version}")
        listed = [entry for kind in kinds for entry in _plain_entries(kind)]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": listed,
        }

    # -- aggregated ------------------------------------------------------------------------------------------

    def aggregated(self, core: bool, version: str) -> Object:
        """/api or /apis as one document; `version` is that of the document, v2 or v2beta1."""
        items = [
            {
                "metadata": {"name": group or None},
                "versions": [
                    {
                        "version": found,
                        "freshness": "Current",
                        "resources": [_aggregated_entry(kind) for kind in self._kinds(group, found)],
                    }
                    for found in versions
                ],
            }
            for group, versions in self._groups().items()
            if core is not bool(group)
        ]
        return {
            "kind": AGGREGATED,
            "apiVersion": f"apidiscovery.k8s.io/{version}",
            "metadata": {},
            "items": items,
        }

    # -- OpenAPI ---------------------------------------------------------------------------------------------

    def openapi_index(self) -> Object:
        """/openapi/v3."""
        paths = [
            f"apis/{group}/{version}" if group else f"api/{version}"
            for group, versions in self._groups().items()
            for version in versions
        ]
        return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}

    def openapi(self, group: str, version: str, info: str) -> Object:
        """/openapi/v3/…: that every kind can be written and takes `fieldValidation`; fields are not
        described.
        """
        kinds = self._kinds(group, version)
        if not kinds:
            raise unknown_path(f"/openapi/v3/apis/{group}/{version}")
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        paths: Object = {}
        schemas: Object = {}
        for kind in kinds:
            place = (
                f"{root}/namespaces/{{namespace}}/{kind.plural}"
                if kind.namespaced
                else f"{root}/{kind.plural}"
            )
            schema = f"{kind.group or 'core'}.{kind.version}.{kind.kind}"
            schemas[schema] = {
                "type": "object",
                "x-kubernetes-group-version-kind": [kind.identity],
                "x-kubernetes-preserve-unknown-fields": True,
            }
            paths[place] = {"post": _operation(kind, schema)}
            paths[place + "/{name}"] = {"patch": _operation(kind, schema), "put": _operation(kind, schema)}
        return {
            "openapi": "3.0.0",
            "info": {"title": "hotupgrade embedded cluster", "version": info},
            "paths": paths,
            "components": {"schemas": schemas},
        }


def _plain_entries(kind: Kind) -> list[Object]:
    entry: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(_verbs(kind)),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    parts: list[Object] = []
    for name, (part, api_version, verbs) in kind.subresources.items():
        group, _, version = api_version.rpartition("/")
        place = {"group": group, "version": version} if api_version else {}
        named = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
        parts.append({**named, **place, "kind": part, "verbs": list(verbs)})
    return [entry, *parts]


def _verbs(kind: Kind) -> tuple[str, ...]:
    return ("create",) if kind is REVIEW_KIND else ALL_VERBS


def _aggregated_entry(kind: Kind) -> Object:
    entry: Object = {
        "resource": kind.plural,
        "responseKind": kind.identity,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(_verbs(kind)),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [
            {"subresource": name, "responseKind": _part(kind, part, api_version), "verbs": list(verbs)}
            for name, (part, api_version, verbs) in kind.subresources.items()
        ]
    return entry


def _part(kind: Kind, part: str, api_version: str) -> Object:
    if not api_version:
        return {"group": kind.group, "version": kind.version, "kind": part}
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": part}


def _operation(kind: Kind, schema: str) -> Object:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    names = ("dryRun", "fieldManager", "fieldValidation")
    return {
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-group-version-kind": kind.identity,
    }
