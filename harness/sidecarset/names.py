"""The words of the SidecarSet API: group, annotation keys, policies. Knows nothing of their meaning."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON."""

GROUP = "apps.kruise.io"
STORAGE_VERSION = "v1beta1"
SERVED_VERSIONS = ("v1alpha1", "v1beta1")
PLURAL = "sidecarsets"
KIND = "SidecarSet"

HASH = "kruise.io/sidecarset-hash"
HASH_WITHOUT_IMAGE = "kruise.io/sidecarset-hash-without-image"
INJECTED_LIST = "kruise.io/sidecarset-injected-list"
WORKING = "kruise.io/sidecarset-working-hotupgrade-container"
UPDATE_STATE = "kruise.io/sidecarset-inplace-update-state"
VERSION_PREFIX = "version.sidecarset.kruise.io/"
VERSION_ALT_PREFIX = "versionalt.sidecarset.kruise.io/"

CANARY = "apps.kruise.io/sidecarset-canary"
CANARY_BASE = "apps.kruise.io/sidecarset-base"
CUSTOM_VERSION_LABEL = "apps.kruise.io/sidecarset-custom-version"
REVISION_SET_LABEL = "kruise.io/sidecarset-name"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"

ENV_INJECTED = "IS_INJECTED"
ENV_VERSION = "SIDECARSET_VERSION"
ENV_VERSION_ALT = "SIDECARSET_VERSION_ALT"

HOT_UPGRADE = "HotUpgrade"
COLD_UPGRADE = "ColdUpgrade"
BEFORE_APP = "BeforeAppContainer"
AFTER_APP = "AfterAppContainer"
ROLLING_UPDATE = "RollingUpdate"
NOT_UPDATE = "NotUpdate"
RETAIN = "Retain"
OVERWRITE = "Overwrite"
MERGE_PATCH_JSON = "MergePatchJson"

UPGRADABLE_CONDITION = "SidecarSetUpgradable"
WHITELIST_CONFIGMAP = "kruise-configuration"
WHITELIST_KEY = "SidecarSet_PatchPodMetadata_WhiteList"

MANAGER_NAMESPACE = "kruise-system"
"""Where revisions and the whitelist live, unless POD_NAMESPACE says otherwise."""
