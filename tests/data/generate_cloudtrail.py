#!/usr/bin/env python3
"""Deterministic CloudTrail corpus generator with a planted ransomware attack.

  gen_cloudtrail.py --out DIR [--mb 500] [--seed 42] [--records-per-file 3000]
                    [--templates DIR_OF_REAL_CLOUDTRAIL_JSON] [--level 6]
                    [--start 2026-10-01T00:00:00Z] [--days 14] [--attack-at 0.62]

Layout written: DIR/AWSLogs/<acct>/CloudTrail/<region>/YYYY/MM/DD/
                <acct>_CloudTrail_<region>_YYYYMMDDTHHMMZ_<16 chars>.json.gz
each holding {"Records":[...]} on one line, as AWS delivers it.
DIR/ground_truth.json says what was planted: per indicator the earliest *successful* hit, the
decoys (benign look-alikes, denied attempts), the true first malicious event and the boundary.

Background records are made from real CloudTrail records (templates: the MIT-licensed
invictus-ir/aws_dataset) by varying ids, times, principals, addresses, agents and regions, plus
S3/KMS/STS data-plane shapes written from the CloudTrail record reference. Same seed, same bytes
(gzip mtime 0, one zlib level).
"""
import argparse, calendar, glob, gzip, io, json, os, random, re, time, zlib
from multiprocessing import Pool

REGIONS = ['us-east-1', 'us-east-1', 'us-east-1', 'us-west-2', 'eu-west-1', 'eu-central-1']
INDICATORS = ['recon_identity_new_ip', 'iam_inline_policy', 'access_key_for_other', 'login_profile',
              'trail_stopped', 'detector_deleted', 'backup_rp_deleted', 'snapshot_shared',
              's3_lifecycle_expire', 'kms_key_deletion', 's3_sse_c_rewrite', 'rds_deleted_no_snapshot']
HEX = '0123456789abcdef'
B62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
B36U = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'


def iso(t):
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(t))


def uuid(r):
    h = '%032x' % r.getrandbits(128)
    return f'{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}'


def pick(r, alpha, n):
    return ''.join(r.choices(alpha, k=n))


class World:
    """Principals, addresses and resources of one made-up organisation, fixed by the seed."""

    def __init__(self, seed):
        r = random.Random(f'world-{seed}')
        self.acct = '%012d' % r.randrange(10**11, 10**12)
        self.ips = ['10.%d.%d.%d' % (r.randrange(256), r.randrange(256), r.randrange(1, 255)) for _ in range(160)]
        self.ips += ['%d.%d.%d.%d' % (r.choice([18, 34, 52, 54, 3]), r.randrange(256), r.randrange(256), r.randrange(1, 255)) for _ in range(140)]
        self.agents = [
            'Boto3/1.35.%d md/Botocore#1.35.%d ua/2.0 os/linux#6.1.%d-amazon.x86_64 md/arch#x86_64 lang/python#3.12.%d md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.35.%d' % (a, a, r.randrange(200), r.randrange(9), a)
            for a in (r.randrange(90) for _ in range(12))]
        self.agents += ['aws-cli/2.%d.%d md/awscrt#0.23.4 ua/2.0 os/linux#5.15 md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython md/command#%s' % (r.randrange(15, 28), r.randrange(40), c)
                        for c in ('s3.cp', 'ec2.describe-instances', 'sts.get-caller-identity', 'iam.list-roles', 'logs.tail')]
        self.agents += ['aws-sdk-java/2.29.%d Linux/6.1 OpenJDK_64-Bit_Server_VM/21.0.5 Java/21 vendor/Amazon.com_Inc. io/sync http/Apache cfg/retry-mode/legacy' % r.randrange(60) for _ in range(8)]
        self.agents += ['APN/1.0 HashiCorp/1.0 Terraform/1.9.%d (+https://www.terraform.io) terraform-provider-aws/5.%d.0 (+https://registry.terraform.io/providers/hashicorp/aws)' % (r.randrange(9), r.randrange(80)) for _ in range(6)]
        self.agents += ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36', 'AWS Internal']
        self.buckets = ['%s-%s-%s' % (a, b, self.acct[:6]) for a in ('prod', 'stage', 'data', 'media', 'app') for b in ('uploads', 'assets', 'lake', 'exports', 'invoices', 'logs')]
        self.roles = ['%s-%s' % (a, b) for a in ('orders', 'billing', 'search', 'ingest', 'web', 'ci', 'etl', 'auth') for b in ('task-role', 'lambda-role', 'deploy', 'reader', 'worker')]
        self.users = ['alice', 'bob', 'carol', 'dave', 'erin', 'svc-backup', 'svc-deploy', 'svc-report']
        self.keys = ['%08x-%04x-4%03x-a%03x-%012x' % (r.getrandbits(32), r.getrandbits(16), r.getrandbits(12), r.getrandbits(12), r.getrandbits(48)) for _ in range(24)]
        self.attacker_ip = '185.%d.%d.%d' % (r.randrange(256), r.randrange(256), r.randrange(1, 255))
        self.attacker_user = 'svc-report'
        self.attacker_key = 'AKIA' + pick(r, B36U, 16)
        self.role_ids = {x: 'AROA' + pick(r, B36U, 16) + 'X' for x in self.roles}
        self.user_ids = {x: 'AIDA' + pick(r, B36U, 16) + 'X' for x in self.users}
        self.user_keys = {x: 'AKIA' + pick(r, B36U, 16) for x in self.users}

    def role_identity(self, r, t):
        role = r.choice(self.roles)
        sess = r.choice(['i-0%s' % pick(r, HEX, 16), 'botocore-session-%d' % (t - r.randrange(3600)), pick(r, HEX, 32)])
        rid = self.role_ids[role]
        return {'type': 'AssumedRole', 'principalId': f'{rid}:{sess}',
                'arn': f'arn:aws:sts::{self.acct}:assumed-role/{role}/{sess}', 'accountId': self.acct,
                'accessKeyId': 'ASIA' + pick(r, B36U, 16),
                'sessionContext': {'sessionIssuer': {'type': 'Role', 'principalId': rid, 'arn': f'arn:aws:iam::{self.acct}:role/{role}', 'accountId': self.acct, 'userName': role},
                                   'attributes': {'creationDate': iso(t - r.randrange(3600)), 'mfaAuthenticated': 'false'}}}

    def user_identity(self, name, key=None):
        return {'type': 'IAMUser', 'principalId': self.user_ids[name], 'arn': f'arn:aws:iam::{self.acct}:user/{name}',
                'accountId': self.acct, 'accessKeyId': key or self.user_keys[name], 'userName': name}


def envelope(r, w, t, region, source, name, ident, params, resp=None, ip=None, ua=None, ro=True, data=False, err=None, resources=None, extra=None, host=None):
    e = {'eventVersion': '1.11', 'userIdentity': ident, 'eventTime': iso(t), 'eventSource': source, 'eventName': name,
         'awsRegion': region, 'sourceIPAddress': ip or r.choice(w.ips), 'userAgent': ua or r.choice(w.agents)}
    if err:
        e['errorCode'] = err
        e['errorMessage'] = f"User: {ident.get('arn')} is not authorized to perform: {source.split('.')[0]}:{name} because no identity-based policy allows the action"
    e['requestParameters'] = params
    e['responseElements'] = resp
    if extra:
        e['additionalEventData'] = extra
    e['requestID'] = uuid(r)
    e['eventID'] = uuid(r)
    e['readOnly'] = ro
    if resources:
        e['resources'] = resources
    e['eventType'] = 'AwsApiCall'
    e['managementEvent'] = not data
    e['recipientAccountId'] = w.acct
    e['eventCategory'] = 'Data' if data else 'Management'
    e['tlsDetails'] = {'tlsVersion': 'TLSv1.3', 'cipherSuite': 'TLS_AES_128_GCM_SHA256', 'clientProvidedHostHeader': host or f"{source.split('.')[0]}.{region}.amazonaws.com"}
    return e


def s3_extra(r, sse='Default_SSE_S3', nin=0, nout=0):
    return {'SignatureVersion': 'SigV4', 'CipherSuite': 'TLS_AES_128_GCM_SHA256', 'bytesTransferredIn': nin, 'SSEApplied': sse,
            'AuthenticationMethod': 'AuthHeader', 'x-amz-id-2': pick(r, B62 + '+/', 75) + '=', 'bytesTransferredOut': nout}


def s3_event(r, w, t, region, name, ident, key, bucket, sse=None, ip=None, ua=None, sse_c=False):
    write = name != 'GetObject' and name != 'HeadObject'
    p = {'bucketName': bucket, 'Host': f'{bucket}.s3.{region}.amazonaws.com', 'key': key}
    if name == 'CopyObject':
        p['x-amz-copy-source'] = f'{bucket}/{key}'
    if sse_c:
        p['x-amz-server-side-encryption-customer-algorithm'] = 'AES256'
    resp = {'x-amz-server-side-encryption': 'AES256'} if write and not sse_c else ({'x-amz-server-side-encryption-customer-algorithm': 'AES256'} if sse_c else None)
    return envelope(r, w, t, region, 's3.amazonaws.com', name, ident, p, resp, ip, ua, not write, True,
                    resources=[{'type': 'AWS::S3::Object', 'ARN': f'arn:aws:s3:::{bucket}/{key}'}, {'accountId': w.acct, 'type': 'AWS::S3::Bucket', 'ARN': f'arn:aws:s3:::{bucket}'}],
                    extra=s3_extra(r, 'SSE_C' if sse_c else 'Default_SSE_S3', r.randrange(1 << 20) if write else 0, 0 if write else r.randrange(1 << 22)),
                    host=f'{bucket}.s3.{region}.amazonaws.com')


ID_RE = re.compile(r'\b(i|vol|snap|vpc|subnet|sg|rtb|eni|ami|igw|nat|acl|eipalloc)-0[0-9a-f]{16}\b')


def load_templates(d):
    """Real records, minus the names the planted indicators use, as (json text, is management)."""
    hot = {'PutUserPolicy', 'CreateAccessKey', 'CreateLoginProfile', 'StopLogging', 'DeleteTrail', 'DeleteDetector', 'DeleteRecoveryPoint', 'ModifySnapshotAttribute',
           'PutBucketLifecycle', 'PutBucketLifecycleConfiguration', 'ScheduleKeyDeletion', 'DisableKey', 'DeleteDBCluster', 'DeleteDBInstance', 'CopyObject', 'PutObject', 'GetObject', 'GetCallerIdentity', 'AssumeRole', 'Decrypt', 'GenerateDataKey'}
    out = []
    for f in sorted(glob.glob(os.path.join(d, '**', '*.json'), recursive=True)):
        for rec in json.load(open(f)).get('Records', []):
            if rec['eventName'] in hot:
                continue
            out.append(rec)
    return out


def background(r, w, t, templates, region):
    x = r.random()
    if x < 0.20:
        b = r.choice(w.buckets)
        return s3_event(r, w, t, region, 'GetObject', w.role_identity(r, t), f'{r.choice(["img", "doc", "raw", "tmp"])}/{2020 + r.randrange(7)}/{r.randrange(1, 13):02d}/{pick(r, HEX, 24)}.bin', b)
    if x < 0.27:
        b = r.choice(w.buckets)
        return s3_event(r, w, t, region, 'PutObject', w.role_identity(r, t), f'raw/{iso(t)[:10]}/{pick(r, HEX, 24)}.parquet', b)
    if x < 0.45:
        role = r.choice(w.roles)
        svc = r.choice(['ec2.amazonaws.com', 'lambda.amazonaws.com', 'ecs-tasks.amazonaws.com', 'states.amazonaws.com'])
        sess = 'i-0%s' % pick(r, HEX, 16)
        e = envelope(r, w, t, region, 'sts.amazonaws.com', 'AssumeRole', {'type': 'AWSService', 'invokedBy': svc},
                     {'roleArn': f'arn:aws:iam::{w.acct}:role/{role}', 'roleSessionName': sess},
                     {'credentials': {'accessKeyId': 'ASIA' + pick(r, B36U, 16), 'sessionToken': pick(r, B62 + '+/', 320), 'expiration': iso(t + 21600).replace('T', ', ')},
                      'assumedRoleUser': {'assumedRoleId': f'{w.role_ids[role]}:{sess}', 'arn': f'arn:aws:sts::{w.acct}:assumed-role/{role}/{sess}'}},
                     ip=svc, ua=svc, resources=[{'accountId': w.acct, 'type': 'AWS::IAM::Role', 'ARN': f'arn:aws:iam::{w.acct}:role/{role}'}])
        e['sharedEventID'] = uuid(r)
        return e
    if x < 0.60:
        k = r.choice(w.keys)
        name = 'Decrypt' if r.random() < 0.75 else 'GenerateDataKey'
        ctx = {'aws:s3:arn': f'arn:aws:s3:::{r.choice(w.buckets)}'} if r.random() < 0.5 else {'aws:lambda:FunctionArn': f'arn:aws:lambda:{region}:{w.acct}:function:{r.choice(w.roles)}'}
        p = {'encryptionContext': ctx, 'encryptionAlgorithm': 'SYMMETRIC_DEFAULT'} if name == 'Decrypt' else {'keyId': f'arn:aws:kms:{region}:{w.acct}:key/{k}', 'encryptionContext': ctx, 'keySpec': 'AES_256'}
        return envelope(r, w, t, region, 'kms.amazonaws.com', name, w.role_identity(r, t), p, None, ip='AWS Internal', ua='AWS Internal',
                        resources=[{'accountId': w.acct, 'type': 'AWS::KMS::Key', 'ARN': f'arn:aws:kms:{region}:{w.acct}:key/{k}'}])
    if x < 0.63:
        return envelope(r, w, t, region, 'sts.amazonaws.com', 'GetCallerIdentity', w.role_identity(r, t), None)
    # a real record, its variable parts replaced
    rec = json.loads(json.dumps(r.choice(templates)))
    rec['eventTime'] = iso(t)
    rec['awsRegion'] = region
    rec['eventID'] = uuid(r)
    if 'requestID' in rec:
        rec['requestID'] = uuid(r)
    rec['recipientAccountId'] = w.acct
    if rec['userIdentity'].get('type') != 'AWSService':
        rec['userIdentity'] = w.role_identity(r, t) if r.random() < 0.8 else w.user_identity(r.choice(w.users))
        rec['sourceIPAddress'] = r.choice(w.ips)
        rec['userAgent'] = r.choice(w.agents)
    s = json.dumps(rec, separators=(',', ':'))
    s = s.replace('123837392027', w.acct)
    s = ID_RE.sub(lambda m: m.group(1) + '-0' + pick(r, HEX, 16), s)
    return s


def plant(seed, w, t0, start, end):
    """(records, ground truth). t0 is the attacker's first call."""
    r = random.Random(f'attack-{seed}')
    u = w.user_identity(w.attacker_user)
    u2 = w.user_identity('alice', w.attacker_key)
    ip, reg = w.attacker_ip, 'us-east-1'
    ua = 'aws-cli/2.17.3 md/awscrt#0.20.11 ua/2.0 os/linux#6.8.0-kali1-amd64 md/arch#x86_64 lang/python#3.11.9 md/pyimpl#CPython md/command#x'
    out, truth = [], {}

    def ev(dt, src, name, params, ident=u, ro=False, resp=None, err=None, ind=None, region=reg, **k):
        e = envelope(r, w, t0 + dt, region, src + '.amazonaws.com', name, ident, params, resp, ip, ua, ro, err=err, **k)
        out.append(e)
        if ind and not err:
            truth.setdefault(ind, {'eventTime': e['eventTime'], 'eventID': e['eventID'], 'eventName': name})
        return e
    ev(0, 'sts', 'GetCallerIdentity', None, ro=True, ind='recon_identity_new_ip')
    ev(31, 's3', 'ListBuckets', {'Host': 's3.amazonaws.com'}, ro=True, err='AccessDenied')
    ev(49, 'iam', 'ListUsers', None, ro=True)
    ev(236, 'iam', 'PutUserPolicy', {'userName': w.attacker_user, 'policyName': 'zlj9i0k83o', 'policyDocument': '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["*"],"Resource":["*"]}]}'}, ind='iam_inline_policy')
    ev(469, 'iam', 'CreateAccessKey', {'userName': 'alice'}, resp={'accessKey': {'accessKeyId': w.attacker_key, 'status': 'Active', 'userName': 'alice', 'createDate': iso(t0 + 469)}}, ind='access_key_for_other')
    ev(530, 'iam', 'CreateLoginProfile', {'userName': 'bob', 'passwordResetRequired': False}, ind='login_profile')
    ev(3600, 'guardduty', 'DeleteDetector', {'detectorId': pick(r, HEX, 32)}, ident=u2, ind='detector_deleted')
    ev(3660, 'cloudtrail', 'StopLogging', {'name': f'arn:aws:cloudtrail:us-west-2:{w.acct}:trail/app'}, ident=u2, ind='trail_stopped')
    ev(5400, 'ec2', 'ModifySnapshotAttribute', {'snapshotId': 'snap-0' + pick(r, HEX, 16), 'createVolumePermission': {'add': {'items': [{'userId': '999988887777'}]}}, 'attributeType': 'CREATE_VOLUME_PERMISSION'}, ident=u2, ind='snapshot_shared')
    for i in range(40):
        ev(7200 + i, 'backup', 'DeleteRecoveryPoint', {'backupVaultName': 'prod', 'recoveryPointArn': f'arn:aws:ec2:{reg}::snapshot/snap-0{pick(r, HEX, 16)}'}, ident=u2, ind='backup_rp_deleted')
    ev(7400, 'rds', 'DeleteDBCluster', {'dBClusterIdentifier': 'orders', 'skipFinalSnapshot': True}, ident=u2, ind='rds_deleted_no_snapshot')
    ev(7500, 's3', 'PutBucketLifecycle', {'bucketName': w.buckets[0], 'lifecycle': '', 'Host': 's3.amazonaws.com', 'LifecycleConfiguration': {'Rule': {'ID': 'x', 'Status': 'Enabled', 'Filter': {'Prefix': ''}, 'Expiration': {'Days': 1}}}}, ident=u2, ind='s3_lifecycle_expire')
    for i in range(600):
        e = s3_event(r, w, t0 + 7600 + i // 4, reg, 'CopyObject', u2, f'doc/{pick(r, HEX, 20)}.pdf', w.buckets[0], ip=ip, ua=ua, sse_c=True)
        out.append(e)
        truth.setdefault('s3_sse_c_rewrite', {'eventTime': e['eventTime'], 'eventID': e['eventID'], 'eventName': 'CopyObject'})
    ev(7900, 'kms', 'ScheduleKeyDeletion', {'keyId': w.keys[0], 'pendingWindowInDays': 7}, ident=u2, ind='kms_key_deletion')
    # decoys before t0: benign or denied look-alikes a careless rule would report
    decoys = []

    def decoy(frac, src, name, params, ident, why, err=None):
        t = int(start + frac * (t0 - start))
        e = envelope(r, w, t, reg, src + '.amazonaws.com', name, ident, params, None, ro=False, err=err)
        out.append(e)
        decoys.append({'eventTime': e['eventTime'], 'eventID': e['eventID'], 'eventName': name, 'why': why})
    decoy(.11, 'cloudtrail', 'StopLogging', {'name': 'app'}, w.role_identity(r, t0), 'denied', 'AccessDenied')
    decoy(.23, 'iam', 'CreateAccessKey', {'userName': 'svc-deploy'}, w.user_identity('svc-deploy'), 'own key rotated')
    decoy(.37, 's3', 'PutBucketLifecycle', {'bucketName': w.buckets[5], 'LifecycleConfiguration': {'Rule': {'ID': 'logs', 'Status': 'Enabled', 'Expiration': {'Days': 400}}}}, w.role_identity(r, t0), 'long expiry')
    decoy(.52, 'rds', 'DeleteDBCluster', {'dBClusterIdentifier': 'scratch', 'skipFinalSnapshot': False, 'finalDBSnapshotIdentifier': 'scratch-final'}, w.role_identity(r, t0), 'final snapshot kept')
    decoy(.77, 'kms', 'ScheduleKeyDeletion', {'keyId': w.keys[3], 'pendingWindowInDays': 30}, w.role_identity(r, t0), 'denied', 'AccessDenied')
    decoy(.91, 'ec2', 'ModifySnapshotAttribute', {'snapshotId': 'snap-0' + pick(r, HEX, 16), 'createVolumePermission': {'remove': {'items': [{'userId': '111122223333'}]}}}, w.role_identity(r, t0), 'share removed')
    first = min(out[:1], key=lambda e: e['eventTime'])
    return out, {'account': w.acct, 'attacker_ip': ip, 'attacker_user': w.attacker_user, 'first_malicious': {'eventTime': first['eventTime'], 'eventID': first['eventID'], 'eventName': first['eventName']},
                 'event_boundary': iso(t0 - 1), 'earliest_per_indicator': truth, 'decoys': decoys, 'planted_records': len(out)}


def write_file(a):
    path, body, level = a
    os.makedirs(os.path.dirname(path), exist_ok=True)
    c = zlib.compressobj(level, zlib.DEFLATED, 31)          # gzip wrapper, mtime 0
    z = c.compress(body) + c.flush()
    with open(path, 'wb') as f:
        f.write(z)
    return len(body), len(z)


def shard(a):
    """One worker makes the files of one slice of time; its randomness comes from its own seed."""
    i, n, opt, planted = a
    w = World(opt['seed'])
    templates = load_templates(opt['templates'])
    r = random.Random(f"shard-{opt['seed']}-{i}")
    lo = opt['start'] + (opt['end'] - opt['start']) * i / n
    hi = opt['start'] + (opt['end'] - opt['start']) * (i + 1) / n
    rpf, want = opt['rpf'], opt['bytes'] / n
    nfiles = max(1, round(want / (rpf * opt['avg'])))
    mine = sorted((e for e in planted if lo <= calendar.timegm(time.strptime(e['eventTime'], '%Y-%m-%dT%H:%M:%SZ')) < hi), key=lambda e: e['eventTime'])
    tot = [0, 0, 0]
    pi, prev = 0, []
    for k in range(nfiles):
        f0, f1 = lo + (hi - lo) * k / nfiles, lo + (hi - lo) * (k + 1) / nfiles
        region = REGIONS[(nfiles - 1 - k) % len(REGIONS)]     # a file holds one region; a slice ends on us-east-1
        recs = []
        for _ in range(rpf):
            t = int(f0 + r.random() * (f1 - f0))
            e = background(r, w, t, templates, region)
            recs.append(e if isinstance(e, str) else json.dumps(e, separators=(',', ':')))
        while region == 'us-east-1' and pi < len(mine) and (k == nfiles - 1 or calendar.timegm(time.strptime(mine[pi]['eventTime'], '%Y-%m-%dT%H:%M:%SZ')) < f1):
            recs.insert(r.randrange(len(recs) + 1), json.dumps(mine[pi], separators=(',', ':')))
            pi += 1
        dup = r.sample(prev, min(len(prev), rpf // 50))    # CloudTrail is at-least-once: 2 % delivered again in a later file
        recs += dup
        prev = recs[:200]
        stamp = time.strftime('%Y%m%dT%H%MZ', time.gmtime(f1))
        day = time.strftime('%Y/%m/%d', time.gmtime(f1))
        p = f"{opt['out']}/AWSLogs/{w.acct}/CloudTrail/{region}/{day}/{w.acct}_CloudTrail_{region}_{stamp}_{pick(r, B62, 16)}.json.gz"
        a, b = write_file((p, ('{"Records":[' + ','.join(recs) + ']}').encode(), opt['level']))
        tot[0] += a; tot[1] += b; tot[2] += len(recs)
    return tot + [nfiles]


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--out', required=True)
    p.add_argument('--mb', type=float, default=500)
    p.add_argument('--seed', default='42')
    p.add_argument('--records-per-file', type=int, default=3000)
    p.add_argument('--templates', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), 'invictus-ir', 'CloudTrail'))
    p.add_argument('--level', type=int, default=6)
    p.add_argument('--start', default='2026-10-01T00:00:00Z')
    p.add_argument('--days', type=int, default=14)
    p.add_argument('--attack-at', type=float, default=0.62)
    p.add_argument('--shards', type=int, default=8)
    p.add_argument('--jobs', type=int, default=2)
    o = p.parse_args()
    start = calendar.timegm(time.strptime(o.start, '%Y-%m-%dT%H:%M:%SZ'))
    end = start + o.days * 86400
    t0 = int(start + o.attack_at * (end - start))
    w = World(o.seed)
    planted, truth = plant(o.seed, w, t0, start, end)
    opt = dict(out=o.out, seed=o.seed, templates=o.templates, start=start, end=end, rpf=o.records_per_file, bytes=o.mb * 1e6, avg=1590, level=o.level)
    tot = [0, 0, 0, 0]
    with Pool(o.jobs) as pool:
        for t in pool.imap(shard, [(i, o.shards, opt, planted) for i in range(o.shards)]):
            tot = [a + b for a, b in zip(tot, t)]
    truth.update(uncompressed_bytes=tot[0], gzip_bytes=tot[1], records=tot[2], files=tot[3], seed=o.seed)
    json.dump(truth, open(os.path.join(o.out, 'ground_truth.json'), 'w'), indent=1)
    print(json.dumps({k: truth[k] for k in ('files', 'records', 'uncompressed_bytes', 'gzip_bytes', 'first_malicious', 'event_boundary')}, indent=1))


if __name__ == '__main__':
    main()
