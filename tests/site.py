"""The site that tests of parts work on."""

from harness.site import Site

SITE = Site(run="1", owner="host/1/1")
