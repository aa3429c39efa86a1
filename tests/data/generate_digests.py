"""Makes a trail with digest files, as the CloudTrail user guide describes them ("CloudTrail digest file structure",
"Custom implementations of log file integrity validation"): three hours, one intruder, and the public key in the form
that `aws cloudtrail list-public-keys` prints.

The private key is made by `openssl` for the occasion and thrown away. Without `--private-key` each run makes another.
"""

import argparse
import base64
import gzip
import hashlib
import json
import pathlib
import subprocess
import tempfile

ACCOUNT, REGION, TRAIL, BUCKET = "111122223333", "eu-central-1", "audit", "audit-logs"
DAY = "2025-03-04"


def openssl(*arguments, stdin=b""):
    return subprocess.run(["openssl", *arguments], input=stdin, check=True, capture_output=True).stdout


def record(number, hour, minute, service, name, **more):
    return {
        "eventVersion": "1.11", "eventID": f"00000000-0000-4000-8000-{number:012}",
        "eventTime": f"{DAY}T{hour:02}:{minute:02}:00Z", "eventSource": f"{service}.amazonaws.com", "eventName": name,
        "awsRegion": REGION, "sourceIPAddress": "198.51.100.77", "userAgent": "aws-cli/2.31",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/eve", "accountId": ACCOUNT,
                         "accessKeyId": "AKIAEXAMPLE00000EVE1", "userName": "eve"},
        "recipientAccountId": ACCOUNT, "managementEvent": True, "eventCategory": "Management", **more,
    }


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--private-key", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        key = options.private_key or pathlib.Path(scratch) / "key.pem"
        if not options.private_key:
            key.write_bytes(openssl("genrsa", "-traditional", "2048"))
        public = openssl("rsa", "-in", str(key), "-RSAPublicKey_out", "-outform", "DER")
        fingerprint = hashlib.md5(public).hexdigest()
        folder = f"AWSLogs/{ACCOUNT}/{{}}/{REGION}/{DAY.replace('-', '/')}"
        hours = {
            10: [record(1, 10, 20, "sts", "GetCallerIdentity"), record(2, 10, 25, "iam", "ListUsers")],
            11: [record(3, 11, 5, "cloudtrail", "StopLogging", requestParameters={"name": TRAIL}),
                 record(4, 11, 6, "backup", "DeleteRecoveryPoint",
                        requestParameters={"backupVaultName": "v", "recoveryPointArn": "arn:aws:backup:x"})],
            12: [],
        }
        stamp = DAY.replace("-", "")
        previous = None
        for hour, records in hours.items():
            files = []
            for number, one in enumerate(records):
                name = f"{ACCOUNT}_CloudTrail_{REGION}_{stamp}T{hour:02}{30 + 5 * number}Z_{hour}{number}abcdefghijklmn.json.gz"
                content = json.dumps({"Records": [one]}, separators=(",", ":")).encode()
                object_key = folder.format("CloudTrail") + "/" + name
                write(options.out / object_key, content)
                files.append({"s3Bucket": BUCKET, "s3Object": object_key,
                              "hashValue": hashlib.sha256(content).hexdigest(), "hashAlgorithm": "SHA-256",
                              "newestEventTime": one["eventTime"], "oldestEventTime": one["eventTime"]})
            object_key = (folder.format("CloudTrail-Digest")
                          + f"/{ACCOUNT}_CloudTrail-Digest_{REGION}_{TRAIL}_{REGION}_{stamp}T{hour + 1:02}0131Z.json.gz")
            digest = {
                "awsAccountId": ACCOUNT,
                "digestStartTime": f"{DAY}T{hour:02}:01:31Z", "digestEndTime": f"{DAY}T{hour + 1:02}:01:31Z",
                "digestS3Bucket": BUCKET, "digestS3Object": object_key,
                "digestPublicKeyFingerprint": fingerprint, "digestSignatureAlgorithm": "SHA256withRSA",
                "newestEventTime": files[-1]["newestEventTime"] if files else None,
                "oldestEventTime": files[0]["oldestEventTime"] if files else None,
                "previousDigestS3Bucket": previous and BUCKET,
                "previousDigestS3Object": previous and previous["object"],
                "previousDigestHashValue": previous and previous["hash"],
                "previousDigestHashAlgorithm": previous and "SHA-256",
                "previousDigestSignature": previous and previous["signature"],
                "logFiles": files,
            }
            content = json.dumps(digest, separators=(",", ":")).encode()
            write(options.out / object_key, content)
            text = "\n".join([digest["digestEndTime"], f"{BUCKET}/{object_key}", hashlib.sha256(content).hexdigest(),
                              previous["signature"] if previous else "null"])
            signature = openssl("dgst", "-sha256", "-sign", str(key), stdin=text.encode()).hex()
            previous = {"object": object_key, "hash": hashlib.sha256(content).hexdigest(), "signature": signature}
        keys = {"PublicKeyList": [{"Value": base64.b64encode(public).decode(), "Fingerprint": fingerprint,
                                   "ValidityStartTime": f"{DAY}T00:00:00Z", "ValidityEndTime": f"{DAY}T23:59:59Z"}]}
        (options.out / "public-keys.json").write_text(json.dumps(keys, indent=1) + "\n")


if __name__ == "__main__":
    main()
