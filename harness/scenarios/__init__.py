"""The catalogue: what is done to a sidecar under traffic, and what it owes meanwhile. Each scenario is data.

Knows nothing of how a step is carried out.
"""
