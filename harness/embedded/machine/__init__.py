"""The Linux side of the embedded cluster: namespaces, the container runtime, the pod network, images.

launcher   host side: starts a machine and ends it
keeper     the process between the launcher and the machine
init       process 1 of the machine: sets it up
runtime    process 1 as the container runtime; children, rootfs, process, network and logger do the work
client     the runtime as the control plane calls it; wire is what travels between them
images     folders with Dockerfiles as a catalogue; dockerfile, recipe and context read them; build builds
check      tries on this host what a machine needs

Knows nothing of Kubernetes but the words container, pod sandbox and image.
"""
