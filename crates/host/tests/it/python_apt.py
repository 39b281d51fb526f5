"""Upgrades packages with plain python-apt on a private root: `python3 -B THIS ROOT PACKAGE…`."""

import sys

import apt

root, packages = sys.argv[1], sys.argv[2:]
cache = apt.Cache(rootdir=root)
for name in packages:
    cache[name].mark_upgrade()
cache.commit()
