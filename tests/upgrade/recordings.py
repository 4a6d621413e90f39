"""What the pods of a real Kubernetes 1.33 with Kruise 1.9 looked like, change by change, as views.

One line is one delivery of the watch: milliseconds since the step began, pod, Ready, and per container the
image in the spec / the image in the status : state : restarts (a small r after them: ready).
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.upgrade.view import ContainerView, PodView

EPOCH = 1_700_000_000.0  # when every step begins, in Unix seconds

CYCLES = {
    "v2": """
      0 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=empty/empty:running:0r
     71 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/empty:running:0r
    301 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/empty:running:0r
    949 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/v2:running:1r
   5116 pod-1 Ready mesh-1=empty/v1:running:0r mesh-2=v2/v2:running:1r
   5976 pod-1 Ready mesh-1=empty/empty:running:1r mesh-2=v2/v2:running:1r""",
    "v1": """
      0 pod-1 Ready mesh-1=empty/empty:running:1r mesh-2=v2/v2:running:1r
     57 pod-1 Ready mesh-1=v1/empty:running:1r mesh-2=v2/v2:running:1r
    895 pod-1 Ready mesh-1=v1/v1:running:2r mesh-2=v2/v2:running:1r
   5092 pod-1 Ready mesh-1=v1/v1:running:2r mesh-2=empty/v2:running:1r
   5925 pod-1 Ready mesh-1=v1/v1:running:2r mesh-2=empty/empty:running:2r""",
    "v3": """
      0 pod-1 Ready mesh-1=v1/v1:running:2r mesh-2=empty/empty:running:2r
     61 pod-1 Ready mesh-1=v1/v1:running:2r mesh-2=v3/empty:running:2r
    995 pod-1 Ready mesh-1=v1/v1:running:2r mesh-2=v3/v3:running:3r
   5093 pod-1 Ready mesh-1=empty/v1:running:2r mesh-2=v3/v3:running:3r
   6001 pod-1 Ready mesh-1=empty/empty:running:3r mesh-2=v3/v3:running:3r""",
}

ROLLING = """
      0 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=empty/empty:running:0r
      0 pod-2 Ready mesh-1=v1/v1:running:0r mesh-2=empty/empty:running:0r
      0 pod-3 Ready mesh-1=v1/v1:running:0r mesh-2=empty/empty:running:0r
     99 pod-2 Ready mesh-1=v1/v1:running:0r mesh-2=v2/empty:running:0r
    862 pod-2 Ready mesh-1=v1/v1:running:0r mesh-2=v2/v2:running:1r
   5131 pod-2 Ready mesh-1=empty/v1:running:0r mesh-2=v2/v2:running:1r
   6882 pod-2 Ready mesh-1=empty/empty:running:1r mesh-2=v2/v2:running:1r
  10148 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/empty:running:0r
  10907 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/v2:running:1r
  15194 pod-1 Ready mesh-1=empty/v1:running:0r mesh-2=v2/v2:running:1r
  16919 pod-1 Ready mesh-1=empty/empty:running:1r mesh-2=v2/v2:running:1r
  20231 pod-3 Ready mesh-1=v1/v1:running:0r mesh-2=v2/empty:running:0r
  21948 pod-3 Ready mesh-1=v1/v1:running:0r mesh-2=v2/v2:running:1r
  25272 pod-3 Ready mesh-1=empty/v1:running:0r mesh-2=v2/v2:running:1r
  26972 pod-3 Ready mesh-1=empty/empty:running:1r mesh-2=v2/v2:running:1r"""

SLOW_HOOK = """
      0 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=empty/empty:running:0r
     96 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/empty:running:0r
   5063 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/empty:running:0r
   7011 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/v2:running:1r
  12040 pod-1 Ready mesh-1=empty/v1:running:0r mesh-2=v2/v2:running:1r
  19063 pod-1 Ready mesh-1=empty/empty:running:1r mesh-2=v2/v2:running:1r"""

COLD = """
      0 pod-1 Ready mesh=v1/v1:running:0r
     76 pod-1 Ready mesh=v2/v1:running:0r
    145 pod-1 Ready mesh=v2/v1:running:0r
   2028 pod-1 Ready mesh=v2/v2:running:1r"""

BAD = """
      0 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=empty/empty:running:0r
    105 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=bad/empty:running:0r
  11012 pod-1 NotReady mesh-1=v1/v1:running:0r mesh-2=bad/empty:ErrImagePull:0"""

THEN_GOOD = """
      0 pod-1 NotReady mesh-1=v1/v1:running:0r mesh-2=bad/empty:ErrImagePull:0
     71 pod-1 NotReady mesh-1=v1/v1:running:0r mesh-2=v2/empty:ErrImagePull:0
     96 pod-1 NotReady mesh-1=v1/v1:running:0r mesh-2=v2/empty:ImagePullBackOff:0
    904 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/v2:running:1r
    928 pod-1 Ready mesh-1=empty/v1:running:0r mesh-2=v2/v2:running:1r
   3903 pod-1 Ready mesh-1=empty/empty:running:1r mesh-2=v2/v2:running:1r"""

FAILING_HOOK = """
      0 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=empty/empty:running:0r
     70 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/empty:running:0r
   1935 pod-1 NotReady mesh-1=v1/v1:running:0r mesh-2=v2/v2:PostStartHookError:1
   4918 pod-1 NotReady mesh-1=v1/v1:running:0r mesh-2=v2/v2:CrashLoopBackOff:2
  18970 pod-1 NotReady mesh-1=v1/v1:running:0r mesh-2=v2/v2:CrashLoopBackOff:3"""


# Not recorded but composed, after what a kubelet was seen to do at the fourth quick upgrade of one pod.
BACKS_OFF = """
      0 pod-1 Ready mesh-1=v1/v1:running:4r mesh-2=empty/empty:running:4r
     70 pod-1 Ready mesh-1=v1/v1:running:4r mesh-2=v2/empty:running:4r
    300 pod-1 NotReady mesh-1=v1/v1:running:4r mesh-2=v2/empty:CrashLoopBackOff:4
  40300 pod-1 Ready mesh-1=v1/v1:running:4r mesh-2=v2/v2:running:5r
  45000 pod-1 Ready mesh-1=empty/v1:running:4r mesh-2=v2/v2:running:5r
  45500 pod-1 NotReady mesh-1=empty/v1:CrashLoopBackOff:4 mesh-2=v2/v2:running:5r
  71000 pod-1 Ready mesh-1=empty/empty:running:5r mesh-2=v2/v2:running:5r"""


def image(tag: str) -> str:
    """The images of the recordings by their short names."""
    return {"empty": "rig/empty:v1", "bad": "rig/does-not-exist:v9"}.get(tag, f"rig/agent:{tag}")


def views(recording: str) -> Iterator[tuple[float, PodView]]:
    """Each delivery with its time in Unix seconds; the status names images in full, as containerd does."""
    for line in recording.strip().splitlines():
        ms, pod, ready, *containers = line.split()
        parsed = dict(container.split("=") for container in containers)
        seen = {name: _container(text) for name, text in parsed.items()}
        yield EPOCH + int(ms) / 1000, PodView(name=pod, ready=ready == "Ready", containers=seen)


def _container(text: str) -> ContainerView:
    images, state, restarts = text.split(":")
    spec, status = images.split("/")
    return ContainerView(
        image=image(spec),
        running_image=f"docker.io/{image(status)}",
        state="running" if state == "running" else "waiting",
        reason="" if state == "running" else state,
        ready=restarts.endswith("r"),
        restarts=int(restarts.rstrip("r")),
    )
