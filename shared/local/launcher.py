"""Runs ministack as long as the process that started it lives, with three corrections toward AWS.

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


def correct(tokens):
    from ministack.services import eventbridge, stepfunctions

    # AWS's own services may send events whose source begins with `aws.`; locally the drill plays GuardDuty.
    eventbridge._put_events.__defaults__ = (True,)

    # A state that waits for a token fails when the function that was given the token fails. ministack would wait on.
    waiting = threading.local()
    call_lambda = stepfunctions._call_lambda
    invoke_with_callback = stepfunctions._invoke_with_callback

    def call_and_tell(*args, **kwargs):
        try:
            return call_lambda(*args, **kwargs)
        except stepfunctions._ExecutionError as error:
            info = stepfunctions._task_tokens.get(getattr(waiting, "token", None))
            if info is not None:
                info["error"] = {"Error": error.error, "Cause": error.cause}
                info["event"].set()
            raise

    def invoke_and_record(resource, input_data, token, state_def):
        # Which tokens there were, so that a test can look for them everywhere else.
        with open(tokens, "a", encoding="ascii") as file:
            file.write(token + "\n")
        waiting.token = token
        try:
            return invoke_with_callback(resource, input_data, token, state_def)
        finally:
            waiting.token = None

    stepfunctions._call_lambda = call_and_tell
    stepfunctions._invoke_with_callback = invoke_and_record


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    correct(sys.argv[1])
    sys.argv = ["ministack"]
    from ministack.app import main

    main()
