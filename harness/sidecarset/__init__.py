"""The reference SidecarSet webhook and controller: a client of the Kubernetes API like any other.

A pure core (what to inject, which container to upgrade, when to reset) in modules without I/O, and a thin
shell around it: `client` (the API), `webhook` (AdmissionReview and ConversionReview), `controller` (watch and
reconcile). It behaves as OpenKruise 1.9 does, bugs excepted; `deviations` lists where it does not, and why.
Knows nothing of the cluster that it runs on.
"""
