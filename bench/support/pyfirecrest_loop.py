"""One loop per job with the unmodified pyfirecrest, as a user without Firewatch would write it.

v2: `wait_for_job`, with the library's own waits. v1: the library has no wait, so `poll` every ten seconds.
When a job has ended, its id is posted to --callback. The whole program stops after --seconds.
"""

import argparse
import os
import threading
import time
import urllib.request

import firecrest

V1_EVERY_SECONDS = 10
V1_ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")

parser = argparse.ArgumentParser()
parser.add_argument("--api", choices=["v1", "v2"], required=True)
parser.add_argument("--url", required=True)
parser.add_argument("--token-url", required=True)
parser.add_argument("--client-id", required=True)
parser.add_argument("--jobs", required=True, help="ids, separated by commas")
parser.add_argument("--seconds", type=float, required=True)
parser.add_argument("--callback")
args = parser.parse_args()

auth = firecrest.ClientCredentialsAuth(args.client_id, os.environ["CLIENT_SECRET"], args.token_url)
Client = firecrest.v1.Firecrest if args.api == "v1" else firecrest.v2.Firecrest
client = Client(firecrest_url=args.url, authorization=auth)


def wait(job):
    if args.api == "v2":
        client.wait_for_job("cluster", job)
        return
    while True:
        rows = client.poll("cluster", [job])
        if rows and rows[0]["state"].startswith(V1_ENDS):
            return
        time.sleep(V1_EVERY_SECONDS)


def follow(job):
    wait(job)
    if args.callback:
        urllib.request.urlopen(urllib.request.Request(args.callback, data=job.encode(), method="POST")).read()


threads = [threading.Thread(target=follow, args=(job,), daemon=True) for job in args.jobs.split(",")]
deadline = time.monotonic() + args.seconds
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(max(0, deadline - time.monotonic()))
# Loops that still wait are cut off, not waited for.
os._exit(0)
