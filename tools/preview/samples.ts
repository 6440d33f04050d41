/** Jobs worth a picture, and what is said about them. */
import { type JobExtras, jobMessage } from "../../shared/chat/about-job.ts";
import { detailMessage } from "../../shared/chat/details.ts";
import type { Message } from "../../shared/chat/message.ts";
import type { Job } from "../../shared/contract/job.ts";

const VALUES = { cancel: "v", resubmit: "v", more: "v", logs: "v", fetch: "v" };

const job = (facts: Partial<Job>): Job => ({
  id: "job_01jd8x0f3q8y2k5v7n9r4t6wzb",
  connection: "cscs-hpc",
  system: "daint",
  status: "running",
  run: 1,
  name: "ocean-40km",
  schedulerId: "4821733",
  acceptedAt: "2026-11-22T11:58:02.000Z",
  startedAt: "2026-11-22T12:00:10.000Z",
  timeLimitSeconds: 7200,
  outputs: [],
  warnings: [],
  ...facts,
});

const OUTPUTS: Job["outputs"] = [
  { transferId: "tr_01jd8x0f3q8y2k5v7n9r4t6wza", path: "out/sst.nc", key: "runs/42/sst.nc", status: "stored" },
  { transferId: "tr_01jd8x0f3q8y2k5v7n9r4t6wzc", path: "out/restart.nc", key: "runs/42/restart.nc", status: "stored" },
];

const timeout = job({
  status: "failed",
  reason: "timeout",
  schedulerState: "TIMEOUT",
  exitCode: 0,
  signal: 15,
  endedAt: "2026-11-22T14:00:12.000Z",
});

const TIMEOUT_TAIL = `step  8121  t = 338.4 d  dt = 3600 s  max|u| = 1.82 m/s
step  8122  t = 338.4 d  dt = 3600 s  max|u| = 1.82 m/s
slurmstepd: error: *** STEP 4821733.0 ON nid006412 CANCELLED AT 2026-11-22T14:00:11 DUE TO TIME LIMIT ***
srun: Job step aborted: Waiting up to 32 seconds for job step to finish.
slurmstepd: error: *** JOB 4821733 ON nid006412 CANCELLED AT 2026-11-22T14:00:11 DUE TO TIME LIMIT ***`;

const array = job({
  name: "ensemble",
  schedulerId: "4821901",
  status: "failed",
  reason: "exit_code",
  exitCode: 1,
  schedulerState: "FAILED",
  endedAt: "2026-11-22T12:31:40.000Z",
  array: { total: 100, succeeded: 96, failed: 4, cancelled: 0, running: 0, queued: 0, failedIndices: [3, 17, 18, 19] },
});

const memory = job({
  name: "train",
  system: "clariden",
  schedulerId: "77120",
  status: "failed",
  reason: "out_of_memory",
  schedulerState: "OUT_OF_MEMORY",
  exitCode: 137,
  endedAt: "2026-11-22T12:22:51.000Z",
});

const MEMORY_TAIL = `[rank 3] loading shard 14/16 (21.4 GiB)
    batch = torch.empty((4096, 65536), dtype=torch.float32)
slurmstepd: error: Detected 1 oom_kill event in StepId=77120.0.
srun: error: nid002011: task 3: Out Of Memory`;

const message = (one: Job, extras: JobExtras = {}): Message => jobMessage(one, extras);
const detail = (kind: "tail" | "results", one: Job, tail?: string): Message => {
  const made = detailMessage(kind, one, tail);
  if (made === undefined) throw new Error("a sample without anything to show");
  return made;
};

const ended = job({
  id: "job_01jd8wz6c2m4p8q1s3t5v7x9y0",
  name: "ocean-80km",
  schedulerId: "4821731",
  status: "succeeded",
  exitCode: 0,
  schedulerState: "COMPLETED",
  endedAt: "2026-11-22T13:31:07.000Z",
});
const succeeded = { ...ended, settledAt: "2026-11-22T13:33:00.000Z", outputs: OUTPUTS };

export const SAMPLES = {
  running: message(
    job({
      id: "job_01jd8wyd5h7k9m2n4p6q8r0s1t",
      name: "spin-up",
      startedAt: "2026-11-22T13:10:00.000Z",
      schedulerId: "4821730",
      schedulerState: "RUNNING",
    }),
    { values: VALUES },
  ),
  succeeded: message(succeeded, { values: VALUES }),
  results: detail("results", succeeded),
  timeout: message(timeout, { values: VALUES }),
  timeoutTail: detail("tail", timeout, TIMEOUT_TAIL),
  array: message(array, { values: VALUES }),
  arrayTail: detail(
    "tail",
    array,
    'Traceback (most recent call last):\n  File "member.py", line 88, in <module>\n    ic = xr.open_dataset(path)\nFileNotFoundError: ic_0017.nc',
  ),
  memory: message(memory, { memoryMiB: 65_536, stderrTail: MEMORY_TAIL }),
  timeoutMail: message(timeout, { stderrTail: TIMEOUT_TAIL }),
} as const;
