"""The Linux side of the embedded cluster: namespaces, the container runtime, the pod network, images.

launcher   host side: starts a machine and ends it          keeper     the process between launcher and machine
init       process 1 of the machine: the runtime's server   client     the runtime as the control plane calls it
check      tries on this host what a machine needs          images     folders with Dockerfiles as a catalogue

Knows nothing of Kubernetes but the words container, pod sandbox and image.
"""
