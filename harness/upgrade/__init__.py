"""Drives one SidecarSet through upgrades and watches what its pods do.

    sidecarset  the object: create, set its image, delete       pods      pods and their pairs
    observe     pods as they change, with the time of arrival   evidence  container logs and API events
    view        one pod at one moment                           phases    which phase began when, seen by whom
    driver      patch, wait until every pod is settled, next    waits     every wait by name, and the clock
    plan        the upgrades to make, shared out over pods

Knows nothing of traffic, of how a sidecar hands over, or of which cluster it is on.
"""
