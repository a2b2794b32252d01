"""Checks the machine before anything is installed: `python3 local/check_machine.py`.

Any Python must be able to read this file, also version 2.7, to say that it is too old.
"""

import os
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Python %d.%d (%s) is too old: 3.11 or newer is needed. Name another one: make PYTHON=python3.12 ..."
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from local import preflight  # noqa: E402

sys.exit(preflight.main())
