"""Where ministack differs from AWS in a way that matters here, it is put right.

Each function replaces a private part of ministack, of exactly the version in requirements.txt.
"""

import contextvars
import json
import os
import threading
import urllib.parse
import weakref

# A pause that an event may end: longer than a function that hears its first event needs to start on a busy machine.
PAUSE_SCALE = 0.4


def apply(tokens, crash_request):
    """Applies all corrections. `tokens`: file that records task tokens; `crash_request`: see crash_on_request."""
    events_of_aws()
    workflow_language()
    machines = waiting_for_a_token(tokens)
    resources_of_requests(machines)
    conditions_of_policies()
    policies_of_buses()
    buses_of_other_accounts()
    booleans_of_health_checks()
    crash_on_request(crash_request)
    histories()
    drift_of_users()
    networks_of_accounts()
    drift_of_policies()
    drift_after_import()
    tags_of_imported_tables()


def events_of_aws():
    """AWS's own services may send events whose source begins with `aws.`; locally the drill plays GuardDuty."""
    from ministack.services import eventbridge

    eventbridge._put_events.__defaults__ = (True,)


def workflow_language():
    """JSONata in Parallel states and Distributed Maps; branches that do not write each other's variables."""
    from ministack.services import stepfunctions as sfn

    run_branches = sfn._run_parallel_branches
    run_sub_machine = sfn._run_sub_machine
    run_distributed_map = sfn._run_distributed_map

    def finished(state, raw_input, ctx, result):
        output = sfn._apply_jsonata_output(state, raw_input, ctx, result=result, default=result)
        sfn._apply_state_assign(state, raw_input, ctx, result=result)
        return output, sfn._next_or_end(state)

    def parallel(state, raw_input, execution, ctx):
        if sfn._state_query_language(state, ctx) != "JSONata":
            return run_branches(state, raw_input, execution, ctx)
        given = sfn._apply_jsonata_arguments(state, raw_input, ctx)
        results, _next = run_branches(state, given, execution, ctx)
        return finished(state, raw_input, ctx, results)

    def sub_machine(states, start_at, given, execution, ctx):
        # A branch or an iteration sees the variables around it, and its own assignments stay inside.
        own = {**ctx, "State": {}, "variables": dict(ctx.get("variables") or {})}
        return run_sub_machine(states, start_at, given, execution, own)

    def distributed_map(state, raw_input, effective, iterator, execution, ctx):
        if sfn._state_query_language(state, ctx) != "JSONata":
            return run_distributed_map(state, raw_input, effective, iterator, execution, ctx)
        resolved = dict(state)
        reader = state.get("ItemReader")
        if reader:
            arguments = sfn._apply_jsonata_template(reader.get("Arguments") or {}, raw_input, ctx)
            resolved["ItemReader"] = {**reader, "Arguments": arguments}
        selector = resolved.pop("ItemSelector", None)
        child = iterator
        if selector is not None:
            # The selector sees the parent's variables and the item; the emulator would read it as JSONPath.
            first = "\u0000select"
            child = {
                **iterator,
                "StartAt": first,
                "States": {
                    **iterator.get("States", {}),
                    first: {"Type": "Pass", "Output": selector, "Next": iterator.get("StartAt")},
                },
            }
        results, _next = run_distributed_map(resolved, raw_input, effective, child, execution, ctx)
        return finished(state, raw_input, ctx, results)

    sfn._run_parallel_branches = parallel
    sfn._run_sub_machine = sub_machine
    sfn._run_distributed_map = distributed_map


def waiting_for_a_token(tokens):
    """A state that waits for a token fails when the function that was given the token fails.

    Returns which state machine waits for which token.
    """
    from ministack.services import stepfunctions

    def is_pause(machine):
        # Nobody decides anything in a trial: its wait for a token is a pause between two looks, like a Wait state.
        return machine.endswith("-validation")

    waiting = threading.local()
    machines = {}
    execute_task = stepfunctions._execute_task
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
            file.write(("-" if is_pause(waiting.machine) else "people") + " " + token + "\n")
        waiting.token = token
        machines[token] = waiting.machine
        try:
            return invoke_with_callback(resource, input_data, token, state_def)
        finally:
            waiting.token = None

    def execute_and_remember(state_def, raw_input, execution, ctx):
        waiting.machine = execution["stateMachineArn"]
        timeout = state_def.get("TimeoutSeconds")
        if isinstance(timeout, str):
            # How long to wait may be an expression; the emulator would wait for that many characters.
            seconds = int(stepfunctions._apply_jsonata_template(timeout, raw_input, ctx))
            if is_pause(execution["stateMachineArn"]):
                seconds = seconds * PAUSE_SCALE
            state_def = {**state_def, "TimeoutSeconds": seconds}
        return execute_task(state_def, raw_input, execution, ctx)

    stepfunctions._execute_task = execute_and_remember
    stepfunctions._call_lambda = call_and_tell
    stepfunctions._invoke_with_callback = invoke_and_record
    return machines


def resources_of_requests(machines):
    """What a request is about, where ministack asks for permission on `*` although AWS knows the resource."""
    from ministack.core import iam_actions

    extract_resource_arn = iam_actions.extract_resource_arn

    def extract(service, method, path, headers, body, query_params, region, account_id):
        parts = path.split("/")
        if service == "backup" and parts[1:2] == ["backup-vaults"] and len(parts) > 2:
            # A shared vault belongs to the account that the request names.
            owner = (query_params.get("backupVaultAccountId") or [account_id])[0]
            return f"arn:aws:backup:{region}:{owner}:backup-vault:{urllib.parse.unquote(parts[2])}"
        if service == "backup" and parts[1:2] == ["backup-access-point"] and method != "PUT":
            # Described and deleted by ARN, which is the end of the path and has a slash of its own.
            plain = urllib.parse.unquote(path)
            return plain[plain.find("arn:") :]
        if service == "backup" and parts[1:2] == ["restore-access-backup-vaults"]:
            return json.loads(body or b"{}").get("SourceBackupVaultArn") or "*"
        arn = extract_resource_arn(service, method, path, headers, body, query_params, region, account_id)
        if service == "route53" and arn == "*" and parts[2:3] in (["healthcheck"], ["hostedzone"], ["change"]):
            return f"arn:aws:route53:::{parts[2]}/{parts[3]}" if len(parts) > 3 else "*"
        if service == "events" and headers.get("x-amz-target", "").endswith(".DescribeEventBus"):
            # `Name` is a bus here; the emulator takes it for a rule.
            name = (json.loads(body or b"{}").get("Name") or "default").rsplit("/", 1)[-1]
            return f"arn:aws:events:{region}:{account_id}:event-bus/{name}"
        about_arn = ("ResourcePolicy", ".TagResource", ".ListTagsOfResource")
        if service == "dynamodb" and headers.get("x-amz-target", "").endswith(about_arn):
            # Policies and tags are asked for by ARN; the emulator looks for the name of a table only.
            return json.loads(body or b"{}").get("ResourceArn") or "*"
        if service == "states" and arn == "*":
            # Who answers a waiting state needs permission on its state machine.
            for token, machine in list(machines.items()):
                if token.encode() in (body or b""):
                    return machine
        return arn

    iam_actions.extract_resource_arn = extract


def conditions_of_policies():
    """Condition keys of a session, and TLS."""
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


def policies_of_buses():
    """PutPermission with a whole policy replaces that of the bus; the emulator knows only single statements.

    A bus is created with the policy of its template.
    """
    from ministack.core.responses import error_response_json, json_response
    from ministack.services import eventbridge
    from ministack.services.cloudformation import provisioners

    put_permission = eventbridge._put_permission

    def put(data):
        if not data.get("Policy"):
            return put_permission(data)
        bus = data.get("EventBusName", "default")
        if bus not in eventbridge._event_buses:
            return error_response_json("ResourceNotFoundException", f"Event bus {bus} does not exist.", 400)
        eventbridge._event_bus_policies[bus] = json.loads(data["Policy"])
        return json_response({})

    handlers = provisioners._RESOURCE_HANDLERS["AWS::Events::EventBus"]
    create_bus = handlers["create"]

    def create(logical_id, props, stack_name):
        name, attributes = create_bus(logical_id, props, stack_name)
        if props.get("Policy"):
            eventbridge._event_bus_policies[name] = props["Policy"]
        return name, attributes

    eventbridge._put_permission = put
    handlers["create"] = create


def buses_of_other_accounts():
    """A rule may send its events to the bus of another account, if that bus's policy lets the rule's role."""
    from ministack.core.responses import get_account_id, request_scope
    from ministack.services import eventbridge

    invoke_target = eventbridge._invoke_target

    def many(value):
        return value if isinstance(value, list) else [value]

    def holds(conditions, event):
        known = {"events:source": event["Source"], "events:detail-type": event["DetailType"]}
        return all(
            operator in ("StringEquals", "ForAllValues:StringEquals") and known.get(key) in many(wanted)
            for operator, keys in conditions.items()
            for key, wanted in keys.items()
        )

    def admits(policy, role, event):
        return any(
            statement["Effect"] == "Allow"
            and "events:PutEvents" in many(statement["Action"])
            and role in many(statement["Principal"]["AWS"])
            and holds(statement.get("Condition", {}), event)
            for statement in (policy or {}).get("Statement", [])
        )

    def invoke(target, event, rule, view=None):
        arn = target.get("Arn", "").split(":", 5)
        elsewhere = len(arn) == 6 and arn[2] == "events" and arn[4] != get_account_id()
        if not elsewhere or not arn[5].startswith("event-bus/"):
            return invoke_target(target, event, rule, view)
        bus = arn[5].split("/", 1)[1]
        with request_scope(arn[4], arn[3]):
            policy = eventbridge._event_bus_policies.get(bus)
            if bus in eventbridge._event_buses and admits(policy, target.get("RoleArn"), event):
                eventbridge._dispatch_event({**event, "EventBusName": bus})

    eventbridge._invoke_target = invoke


def booleans_of_health_checks():
    """Health checks are answered with booleans as XML spells them (XML Schema part 2, 3.2.2), not as Python does."""
    from ministack.services import route53

    build = route53._build_health_check_el

    def spelled(parent, check):
        def written(value):
            return str(value).lower() if isinstance(value, bool) else value

        config = {field: written(value) for field, value in check.get("config", {}).items()}
        build(parent, {**check, "config": config})

    route53._build_health_check_el = spelled


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


def histories():
    """Histories as AWS writes them: also the states of branches and iterations, each event with the one before it."""
    from ministack.services import stepfunctions as sfn

    # The execution whose branch or iteration this is, and the last event of this chain of events with its execution.
    # A nested execution inherits both, and they are not its own.
    inside = contextvars.ContextVar("inside", default=None)
    last = contextvars.ContextVar("last", default=(None, 0))
    numbering = threading.Lock()
    run_sub_machine = sfn._run_sub_machine
    add_event = sfn._add_event

    def add(execution, kind, details=None):
        with numbering:
            event = add_event(execution, kind, details)
        own, before = last.get()
        event["previousEventId"] = before if own is execution["events"] else 0
        last.set((execution["events"], event["id"]))
        return event

    def sub_machine(states, start_at, given, execution, ctx):
        tokens = inside.set(execution), last.set(last.get())
        try:
            return run_sub_machine(states, start_at, given, execution, ctx)
        finally:
            inside.reset(tokens[0])
            last.reset(tokens[1])

    def recorded(kind, handler):
        def handle(state, given, *rest):
            execution, ctx = inside.get(), rest[-1]
            if execution is None or execution["executionArn"] != ctx["Execution"]["Id"]:
                return handler(state, given, *rest)
            name = ctx["State"]["Name"]
            entered = add(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": {"name": name}})
            entered["timestamp"] = ctx["State"]["EnteredTime"]
            answer = handler(state, given, *rest)
            add(execution, f"{kind}StateExited", {"stateExitedEventDetails": {"name": name}})
            return answer

        return handle

    sfn._add_event = add
    sfn._run_sub_machine = sub_machine
    for kind in ("Pass", "Task", "Choice", "Wait", "Parallel", "Map"):
        name = f"_execute_{kind.lower()}"
        setattr(sfn, name, recorded(kind, getattr(sfn, name)))


def drift_of_users():
    """Users take part in drift detection, as on AWS."""
    from ministack.services import iam
    from ministack.services.cloudformation import drift
    from ministack.services.cloudformation.provisioners import _tag_map

    def read(physical_id, _properties):
        user = iam._users.get(physical_id)
        if user is None:
            return None
        return {"UserName": user["UserName"], "Path": user["Path"], "Tags": _tag_map(user.get("Tags"))}

    drift._DRIFT_READERS["AWS::IAM::User"] = (read, frozenset({"UserName", "Path", "Tags"}))


def networks_of_accounts():
    """Accounts have no default network, as where it was deleted; lists that are empty here are answered."""
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import ec2

    def none():
        ec2._default_initialized_scopes.add((get_account_id(), get_region()))

    ec2._init_defaults = none

    def empty(action, element):
        return lambda _params: ec2._xml(200, f"{action}Response", f"<{element}/>")

    for action, element in [
        ("DescribeTransitGatewayAttachments", "transitGatewayAttachments"),
        ("DescribeClientVpnEndpoints", "clientVpnEndpoint"),
    ]:
        ec2._ACTION_MAP.setdefault(action, empty(action, element))


def drift_of_policies():
    """The inline policies of a role take part in drift detection (`Policies` of AWS::IAM::Role), as on AWS."""
    from ministack.services import iam
    from ministack.services.cloudformation import drift

    read_role, compared = drift._DRIFT_READERS["AWS::IAM::Role"]

    def read(physical_id, properties):
        role = read_role(physical_id, properties)
        if role is None:
            return None
        inline = iam._roles[physical_id].get("InlinePolicies", {})
        policies = [
            {"PolicyName": name, "PolicyDocument": drift._json_or(document)} for name, document in inline.items()
        ]
        return {**role, "Policies": policies}

    drift._DRIFT_READERS["AWS::IAM::Role"] = (read, compared | {"Policies"})


def drift_after_import():
    """A stack that has just imported something can be compared: the CloudFormation User Guide recommends exactly that
    ("Import AWS resources into a CloudFormation stack"), before anything else is done with the stack."""
    from ministack.services.cloudformation import drift

    drift.DRIFT_DETECTABLE_STATUSES |= {"IMPORT_COMPLETE"}


def tags_of_imported_tables():
    """An import gives a table the tags of the stack, as its events say; the emulator only writes the events."""
    from ministack.services import dynamodb
    from ministack.services.cloudformation import changesets
    from ministack.services.cloudformation.provisioners import _tag_map

    import_resources = changesets._import_resources_async

    async def import_and_tag(change_set, stack, new_stack):
        await import_resources(change_set, stack, new_stack)
        if stack["StackStatus"] != "IMPORT_COMPLETE":
            return
        for entry in change_set["_resources_to_import"]:
            table = dynamodb._tables.get(stack["_resources"][entry["LogicalResourceId"]]["PhysicalResourceId"])
            if entry["ResourceType"] != "AWS::DynamoDB::Table" or table is None:
                continue
            tags = {**_tag_map(dynamodb._tags.get(table["TableArn"], [])), **_tag_map(stack.get("Tags"))}
            dynamodb._tags[table["TableArn"]] = [{"Key": key, "Value": value} for key, value in tags.items()]

    changesets._import_resources_async = import_and_tag
