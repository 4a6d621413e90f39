"""The extended profile: what a sidecar owes for each feature that it has."""

from __future__ import annotations

from harness.scenarios.scenario import GENTLY, Scenario
from harness.scenarios.steps import Steady, Upgrade

EXTENDED = (
    Scenario(
        name="features",
        profile="extended",
        description="Three upgrades under pipelined requests, slow uploads, HTTP/2, WebSockets and tunnels.",
        classes=("keep-alive", "pipelined", "slow-upload", "websocket", "h2", "connect"),
        steps=(Steady(2.0), Upgrade(count=3)),
    ),
    Scenario(
        name="idle-crowd",
        profile="extended",
        description="Two upgrades with 5,000 connections that are silent across the flips and ask again afterwards.",
        classes=("new-connection", "keep-alive", "idle-keep-alive"),
        shape=GENTLY,
        clients={"idle-keep-alive": (5000, 20.0)},
        steps=(Steady(20.0), Upgrade(count=2), Steady(12.0)),
    ),
    Scenario(
        name="long-streams",
        profile="extended",
        description="Streams that live longer than two upgrades together.",
        classes=("keep-alive", "long-stream"),
        steps=(Steady(2.0), Upgrade(count=2)),
    ),
    Scenario(
        name="egress",
        profile="extended",
        description="The application calls another pod through its own sidecar while either of them is upgraded.",
        classes=("keep-alive", "egress"),
        clients={"egress": (24, 0.1)},
        steps=(Upgrade(count=3),),
    ),
)
