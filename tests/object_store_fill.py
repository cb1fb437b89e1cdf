"""Fill a moto server, then have it check keys: run by the Python of the server's own environment, never by pytest's.

python object_store_fill.py ADDRESS FOLDER BUCKET         bucket, files, a user and a session; prints their keys
python object_store_fill.py ADDRESS FILE BUCKET KEY       one more object, with the user's keys of the environment
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import boto3

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
ANYBODY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}]}


def client(name: str, address: str, **keys: str):
    return boto3.client(name, endpoint_url=address, region_name="us-east-1", **keys)


def main(address: str, folder: Path, bucket: str) -> None:
    anybody = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    store, users, sessions = (client(name, address, **anybody) for name in ("s3", "iam", "sts"))
    store.create_bucket(Bucket=bucket)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put_object(Bucket=bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())
    users.create_user(UserName="analyst")
    users.put_user_policy(UserName="analyst", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    role = users.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(ANYBODY))["Role"]
    users.put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    key = users.create_access_key(UserName="analyst")["AccessKey"]
    session = sessions.assume_role(RoleArn=role["Arn"], RoleSessionName="one")["Credentials"]
    print(
        json.dumps(
            {
                "user": [key["AccessKeyId"], key["SecretAccessKey"]],
                "session": [session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]],
            }
        )
    )
    # From now on every request must be signed, by somebody known, and rightly.
    plain = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset-auth", b"0", plain))


if __name__ == "__main__":
    if len(sys.argv) > 4:
        client("s3", sys.argv[1]).put_object(Bucket=sys.argv[3], Key=sys.argv[4], Body=Path(sys.argv[2]).read_bytes())
    else:
        main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
