"""Runs ministack as long as the process that started it lives.

The parent holds the other end of standard input and never writes to it: when the parent ends, in whatever way,
the read below returns and the whole process group (ministack and the functions it runs) goes with it.
"""

import os
import signal
import sys
import threading


def end_with_parent():
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    import corrections

    corrections.apply(tokens=sys.argv[1], crash_request=sys.argv[2])
    sys.argv = ["ministack"]
    from ministack.app import main

    main()
