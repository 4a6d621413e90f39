"""Reports of runs that never took place: a hot one that passed, a cold one that failed, an interrupted one.

The golden files are made of them: `python -m tests.report.example` writes those anew; look at the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.record.report import (
    ClusterInfo,
    Controller,
    Environment,
    ImageInfo,
    Implementation,
    Outcome,
    Report,
    Scenario,
)
from harness.report import junit, schema, summary
from harness.verdict.judge import claim, judge, overall, profile
from tests.verdict import synthetic

GOLDEN = Path(__file__).parent / "golden"

MANIFEST = """\
apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata:
  name: hotupgrade-sidecarset
spec:
  selector:
    matchLabels:
      app: hotupgrade
  containers:
  - name: sidecar
    image: hotupgrade/sidecar:v1
    upgradeStrategy:
      upgradeType: HotUpgrade
      hotUpgradeEmptyImage: hotupgrade/sidecar:empty
"""


def report(
    scenarios: Sequence[Scenario], outcome: Outcome | None = None, reason: str | None = None
) -> Report:
    """A report around scenarios."""
    images = {
        tag: ImageInfo(ref=f"hotupgrade/sidecar:{tag}", id=f"sha256:{number * 64}")
        for tag, number in {"v1": "1", "v2": "2", "empty": "e"}.items()
    }
    return Report(
        outcome=outcome or overall(scenarios),
        reason=reason or next((scenario.reason for scenario in scenarios if scenario.reason), None),
        started=synthetic.START - 4.25,
        finished=synthetic.START + 31.5,
        command=["hotupgrade", "run", "-f", "e2e/manifests/hotupgrade sidecarset.yaml", "--upgrades", "5"],
        seed=1234567,
        version="0.1.0",
        cluster=ClusterInfo(
            kind="embedded",
            kubernetes="1.33",
            controller=Controller(name="reference controller", version="0.1.0"),
            nodes=["node-0"],
            notes=[
                "Pods are processes in namespaces of their own, on one machine; their network is a bridge.",
                "The kubelet's delay of the fourth quick image change of one container is off.",
            ],
        ),
        implementation=Implementation(name="reference sidecar", version="0.1.0", images=images),
        manifest=MANIFEST,
        scenarios=list(scenarios),
        claim=claim(scenarios),
        profile=profile(scenarios),
        environment=Environment(
            host="Linux 6.12 x86_64",
            cores=2,
            python="3.13.1",
            load_generator="Locust 2.47.0, 1 worker",
            saturation=[synthetic.run(upgrades=1).load.saturation],
        ),
    )


def hot(upgrades: int = 5, per_slot: int = 9, pods: Sequence[str] = synthetic.PODS) -> Scenario:
    """A scenario without a failure."""
    made = synthetic.run(upgrades=upgrades, per_slot=per_slot, pods=pods)
    return judge("hot", made.upgrades, [made.load], made.apps, made.requirements)


def cold(upgrades: int = 1, failures: int = 240) -> Scenario:
    """A scenario whose pods refused connections while their only sidecar was replaced."""
    made = synthetic.run(upgrades=upgrades, per_slot=9, mode="cold")
    kinds = ("refused", "reset", "refused", "timeout", "status", "refused")
    clients = [client.name for client in made.load.clients]
    for number in range(failures):
        client = clients[number % len(clients)]
        pod = next(pod for pod in made.upgrades[0].pods if client.endswith(pod.name))
        at = pod.phases[0].start + 0.85 * (number // len(clients)) / (failures / len(clients))
        kind = kinds[number % len(kinds)]
        synthetic.fail(made, client, 200 + number, kind, round(at, 4), executed=kind == "reset")
    return judge("cold", made.upgrades, [made.load], made.apps, made.requirements)


def small() -> Report:
    """What the golden files show: two classes of gates, a failure, a latency; short enough to be read."""
    made = synthetic.run(upgrades=1, per_slot=1, pods=("app-0",))
    synthetic.fail(made, "post-app-0", 30, "eof", synthetic.START + 2.5, executed=True)
    scenario = judge("hot", made.upgrades, [made.load], made.apps, made.requirements)
    return report([scenario.model_copy(update={"timeline": scenario.timeline[:3]})])


def interrupted() -> Report:
    """A run that ended before there was any traffic."""
    partial = Scenario(name="hot", outcome="interrupted", reason="interrupted before traffic flowed")
    return report([partial], "interrupted", "SIGINT while the pods were started")


def golden() -> dict[str, str]:
    """The golden files: name -> text."""
    made = small()
    return {
        "report.json": made.model_dump_json(indent=1) + "\n",
        "junit.xml": junit.xml(made),
        "summary.md": summary.markdown(made),
        "interrupted.md": summary.markdown(interrupted()),
        "interrupted.xml": junit.xml(interrupted()),
    }


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in golden().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
    Path("docs/report.schema.json").write_text(schema.text(), encoding="utf-8")
