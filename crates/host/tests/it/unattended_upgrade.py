"""Runs the real unattended-upgrade on a private root: `python3 -B THIS ROOT PROGRAM`.

The program's own `main` takes another root; only its lock file has an absolute path, which is moved
below the root here, so that nothing of the machine is touched and two runs do not meet.
"""

import importlib.machinery
import importlib.util
import os
import sys

root, program = sys.argv[1:3]
loader = importlib.machinery.SourceFileLoader("unattended_upgrade", program)
module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(module)
module.LOCK_FILE = os.path.join(root, "var/run/unattended-upgrades.lock")
options = module.Options()
options.minimal_upgrade_steps = True
options.verbose = True
sys.exit(module.main(options, root))
