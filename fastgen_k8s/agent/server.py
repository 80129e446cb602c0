"""What a server of workers imports first: it collects no garbage while it imports, and ends without taking all apart.

Both would go through every object that torch's import makes, for nothing; together they take half as long as that
import. A worker that is forked from the server collects again (worker.py), but what it was born with.
"""

import atexit
import gc
import os

gc.disable()
atexit.register(os._exit, 0)
