"""Runs ministack as long as the process that started it lives, with corrections toward AWS.

The parent holds the other end of standard input and never writes to it: when the parent ends, in whatever way,
the read below returns and the whole process group (ministack and the functions it runs) goes with it.
"""

import contextvars
import os
import signal
import sys
import threading
import urllib.parse
import weakref


def end_with_parent():
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


def correct_workflows(tokens):
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


def correct_conditions():
    from ministack.core import iam_evaluator
    from ministack.services import sts

    source_identity = contextvars.ContextVar("source_identity", default=None)
    handle_request = sts.handle_request
    resolve_condition_key = iam_evaluator._resolve_condition_key

    async def handle_with_source_identity(method, path, headers, body, query_params):
        form = urllib.parse.parse_qs((body or b"").decode("utf-8", "replace"))
        source_identity.set(form.get("SourceIdentity", [None])[0])
        return await handle_request(method, path, headers, body, query_params)

    def resolve(key, context):
        # Of a role's session aws:PrincipalArn is the role, not the session.
        arn = context.principal_arn
        if key.lower() == "aws:principalarn" and ":assumed-role/" in arn:
            account, role = arn.split(":")[4], arn.split("/")[1]
            return f"arn:aws:iam::{account}:role/{role}"
        if key.lower() == "sts:sourceidentity":
            return source_identity.get()
        # The loopback interface stands for TLS, which every bucket policy demands.
        if key.lower() == "aws:securetransport":
            return "true"
        return resolve_condition_key(key, context)

    sts.handle_request = handle_with_source_identity
    iam_evaluator._resolve_condition_key = resolve


def crash_on_request(request):
    """Kills the cutover function after its next change of a trust policy, before it hears of it, if a file asks."""
    from ministack.core import lambda_runtime
    from ministack.services import iam

    workers = weakref.WeakSet()
    spawn = lambda_runtime.ProvidedWorker._spawn
    update_trust = iam._IAM_HANDLERS["UpdateAssumeRolePolicy"]

    def spawn_and_remember(self, *args, **kwargs):
        workers.add(self)
        return spawn(self, *args, **kwargs)

    def update_and_crash(params):
        answer = update_trust(params)
        if os.path.exists(request):
            os.remove(request)
            for worker in list(workers):
                process = worker._proc
                if worker.func_name.endswith("-cutover") and process is not None:
                    process.kill()
                    process.wait()
        return answer

    lambda_runtime.ProvidedWorker._spawn = spawn_and_remember
    iam._IAM_HANDLERS["UpdateAssumeRolePolicy"] = update_and_crash


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    correct_workflows(sys.argv[1])
    correct_conditions()
    crash_on_request(sys.argv[2])
    sys.argv = ["ministack"]
    from ministack.app import main

    main()
