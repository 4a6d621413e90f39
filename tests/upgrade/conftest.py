"""Subjects that tests upgrade."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.manifest import Subject, read_subject

HOT = """
apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: trace}
spec:
  selector: {matchLabels: {app: trace}}
  containers:
    - name: mesh
      image: rig/agent:v1
      upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: 'rig/empty:v1'}
"""


@pytest.fixture
def hot(tmp_path: Path) -> Subject:
    path = tmp_path / "set.yaml"
    path.write_text(HOT)
    return read_subject(path, to=[], port=None, upgrade="hot")


@pytest.fixture
def cold(tmp_path: Path) -> Subject:
    path = tmp_path / "set.yaml"
    path.write_text(HOT)
    return read_subject(path, to=[], port=None, upgrade="cold")
