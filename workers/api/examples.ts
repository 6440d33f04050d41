/** Examples for the API description. Each is held against its schema by a test, so none can go stale. */

const at = "2026-11-22T12:00:00.000Z";

const jobRequest = {
  system: "daint",
  name: "simulate",
  script: "#!/bin/bash -l\nsrun ./model --config input.yaml\n",
  resources: { nodes: 4, timeLimitSeconds: 3600, partition: "normal" },
  env: { RUN: "42" },
  inputs: [{ key: "inputs/input.yaml", path: "input.yaml" }],
  outputs: [
    { path: "out.nc", key: "runs/42/out.nc", verify: "manifest" },
    { path: "plots/*.png", key: "runs/42/plots", when: "success" },
    { path: "logs/", key: "runs/42/logs.tar.gz" },
  ],
  callbacks: [{ url: "https://example.org/callbacks", events: ["job.*"] }],
  labels: { project: "climate" },
};

const job = {
  id: "job_01jd8x0f3q8y2k5v7n9r4t6wzb",
  connection: "cscs-hpc",
  system: "daint",
  status: "running",
  schedulerId: "1234567",
  schedulerState: "RUNNING",
  run: 1,
  name: "simulate",
  labels: { project: "climate" },
  acceptedAt: at,
  submittedAt: "2026-11-22T12:00:01.250Z",
  startedAt: "2026-11-22T12:03:10.000Z",
  timeLimitSeconds: 3600,
  outputs: [{ transferId: "tr_01jd8x0f3q8y2k5v7n9r4t6wzc", path: "out.nc", key: "runs/42/out.nc", status: "accepted" }],
  warnings: [],
};

const connection = {
  name: "cscs-hpc",
  api: "v2",
  url: "https://api.cscs.ch/hpc/firecrest/v2",
  auth: {
    type: "client_credentials",
    tokenUrl: "https://auth.cscs.ch/auth/realms/firecrest-clients/protocol/openid-connect/token",
    clientId: "my-client",
  },
  systems: [{ name: "daint", available: true, description: "System ready" }],
  health: { state: "healthy", since: at },
  tokenExpiresAt: "2026-11-22T12:05:00.000Z",
  budget: { requestsPerMinute: 60, available: 58 },
  debts: { owed: 0, unreleasable: 0 },
  live: { jobs: 1, transfers: 0, deliveries: 0 },
  createdAt: at,
};

const subscription = {
  id: "sub_01jd8x0f3q8y2k5v7n9r4t6wzd",
  url: "https://example.org/callbacks",
  events: ["job.*"],
  format: "plain",
  status: "active",
  createdAt: at,
  consecutiveFailures: 0,
  pending: 0,
};

const hookRequest = {
  source: "github",
  secrets: ["a long random text that GitHub knows too"],
  filter: [{ from: "header:x-github-event", op: "equals", value: "push" }],
  params: { ref: { from: "/ref", type: "string", pattern: "refs/heads/[A-Za-z0-9._/-]+" } },
  target: { job: { system: "daint", script: "#!/bin/bash -l\n./build.sh\n", env: { REF: "{ref}" } } },
  sample: { ref: "refs/heads/main" },
};

export const EXAMPLE = {
  jobRequest,
  job,
  resubmitRequest: { resources: { timeLimitSeconds: 7200 } },
  watchRequest: {
    system: "daint",
    schedulerId: "1234567",
    callbacks: [{ url: "https://example.org/callbacks", events: ["END", "FAIL"] }],
  },
  transferRequest: { direction: "download", system: "daint", path: "/scratch/alice/out.nc", key: "runs/42/out.nc" },
  transfer: {
    id: "tr_01jd8x0f3q8y2k5v7n9r4t6wzc",
    connection: "cscs-hpc",
    direction: "download",
    system: "daint",
    path: "/scratch/alice/out.nc",
    key: "runs/42/out.nc",
    status: "copying",
    bytes: 67_108_864,
    totalBytes: 5_000_000_000,
    link: { state: "owed", expiresAt: "2026-11-29T12:00:00.000Z" },
    acceptedAt: at,
    warnings: [],
  },
  event: {
    id: "evt_01jd8x0f3q8y2k5v7n9r4t6wze",
    type: "job.running",
    timestamp: at,
    sequence: 7,
    subject: `jobs/${job.id}`,
    data: job,
  },
  connectionRequest: { preset: "cscs-hpc", auth: { clientId: "my-client", clientSecret: "…" } },
  connection,
  keyRequest: { name: "ci", scopes: ["jobs:*", "transfers:read"] },
  newKey: {
    id: "key_01jd8x0f3q8y2k5v7n9r4t6wzf",
    name: "ci",
    scopes: ["jobs:read", "jobs:write", "transfers:read"],
    createdAt: at,
    apiKey: "fw_cscs-hpc_…",
  },
  identityRequest: {
    issuer: "https://token.actions.githubusercontent.com",
    audience: "firewatch",
    claims: { repository_id: "123456", ref: "refs/heads/main" },
    scopes: ["jobs:*"],
  },
  subscriptionRequest: { url: "https://example.org/callbacks", events: ["job.*"] },
  newSubscription: { ...subscription, secret: "whsec_…" },
  hookRequest,
  hook: {
    name: "on-push",
    source: hookRequest.source,
    secretCount: 1,
    filter: hookRequest.filter,
    params: hookRequest.params,
    target: hookRequest.target,
    sample: hookRequest.sample,
    url: "https://firewatch.example.org/hooks/cscs-hpc/on-push",
    createdAt: at,
    changedAt: at,
  },
  hookOutcome: {
    requestId: "req_01jd8x0f3q8y2k5v7n9r4t6wzg",
    outcome: "accepted",
    jobId: job.id,
    url: `https://firewatch.example.org/v1/connections/cscs-hpc/jobs/${job.id}`,
  },
};
