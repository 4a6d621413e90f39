"""Expressions and resourcesPolicy."""

from __future__ import annotations

from fractions import Fraction

import pytest

from harness.sidecarset.expressions import BadExpression, evaluate, quantity
from harness.sidecarset.names import Object
from harness.sidecarset.resources import aggregate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cpu", 2),
        ("cpu * 50%", 1),
        ("max(cpu*50%, 1500m)", Fraction(3, 2)),
        ("min(cpu, 100m) + 1 - 2*(3-2)", Fraction(-9, 10)),
        ("-cpu / 4", Fraction(-1, 2)),
        ("2Gi", 2**31),
    ],
)
def test_an_expression_has_an_exact_value(text: str, value: Fraction) -> None:
    assert evaluate(text, "cpu", Fraction(2)) == value


@pytest.mark.parametrize(
    "text", ["", "cpu +", "(cpu", "cpu)", "memory", "1 2", "max(cpu)", "3x", "cpu/0", "a;b"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(BadExpression):
        evaluate(text, "cpu", Fraction(2))


@pytest.mark.parametrize(("text", "value"), [("100m", Fraction(1, 10)), ("1.5Gi", 3 * 2**29), ("1e3", 1000)])
def test_quantities_are_read(text: str, value: Fraction) -> None:
    assert quantity(text) == value


def app(name: str, **resources: Object) -> Object:
    return {"name": name, "image": "i", "resources": resources}


POD: Object = {
    "spec": {
        "containers": [
            app("web", limits={"cpu": "2", "memory": "1Gi"}, requests={"cpu": "500m"}),
            app("log", limits={"cpu": "1"}),
            {**app("other-sidecar", limits={"cpu": "9"}), "env": [{"name": "IS_INJECTED", "value": "true"}]},
        ],
        "initContainers": [{**app("native", limits={"cpu": "1"}), "restartPolicy": "Always"}, app("plain")],
    }
}


def policy(mode: str, pattern: str = ".*", **expressions: Object) -> Object:
    return {"targetContainersMode": mode, "targetContainersNameRegex": pattern, "resourcesExpr": expressions}


def test_sums_and_maxima_leave_out_sidecars_and_plain_init_containers() -> None:
    assert aggregate(policy("sum", limits={"cpu": "cpu*50%"}), POD) == {"limits": {"cpu": "2000m"}}
    assert aggregate(policy("max", limits={"cpu": "cpu"}), POD) == {"limits": {"cpu": "2000m"}}


def test_a_limit_exists_only_where_every_target_has_one_and_missing_requests_count_nothing() -> None:
    result = aggregate(policy("sum", limits={"memory": "memory"}, requests={"cpu": "cpu"}), POD)
    assert result == {"requests": {"cpu": "500m"}}
    assert aggregate(policy("sum", "web", limits={"memory": "memory"}), POD) == {
        "limits": {"memory": "1073741824"}
    }


def test_a_pod_without_a_target_cannot_be_served() -> None:
    with pytest.raises(ValueError, match="no container matches"):
        aggregate(policy("sum", "nobody", limits={"cpu": "cpu"}), POD)
