/**
 * `npm run deploy -- --url https://firewatch.example.org`: creates what the Cloudflare account lacks, makes missing secrets, and
 * deploys poller, transfer and api, in this order. Safe to run again: what is there is left as it is. `--dry-run` shows the
 * plan for an empty account and builds every Worker, without a network or an account.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { experimental_readRawConfig as readRawConfig } from "wrangler";
import { z } from "zod";
import {
  type Account,
  Config,
  configFor,
  describeStep,
  EMPTY_ACCOUNT,
  ORDER,
  planDeployment,
  problemOf,
  SECRETS,
  type SecretName,
  type Settings,
  type Step,
  type WorkerEnv,
} from "./deploy-plan.ts";

const ROOT = join(import.meta.dirname, "..");
const BUILD = join(ROOT, ".build");
const CONFIG = join(BUILD, "wrangler.json");

const HELP = `npm run deploy -- --url https://<host> [--objects-host <host>] [--egress-allow <json>] [--doh-url <url>] [--dry-run]

  --url           where the API is reached: https://firewatch-api.<your subdomain>.workers.dev, or a host of a zone of the account
  --objects-host  another host of that zone, for objects only
  --egress-allow  {"hosts":[…],"cidrs":[…]}: private addresses that may be called
  --doh-url       DNS over HTTPS by which names are checked before they are called
  --dry-run       show what would be done, offline

Instead of options: PUBLIC_URL, OBJECTS_HOST, EGRESS_ALLOW, DOH_URL in the environment; ADMIN_TOKEN and SEAL_KEYS there are used
in place of made ones.`;

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    "objects-host": { type: "string" },
    "egress-allow": { type: "string" },
    "doh-url": { type: "string" },
    "dry-run": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
function readSettings(fallbackUrl?: string): Settings {
  const { PUBLIC_URL, OBJECTS_HOST, EGRESS_ALLOW, DOH_URL } = process.env;
  const publicUrl = options.url ?? (PUBLIC_URL || fallbackUrl);
  if (publicUrl === undefined) throw new Error(`Where will the API be reached? Give --url.\n\n${HELP}`);
  const settings: Settings = {
    publicUrl: publicUrl.replace(/\/$/, ""),
    objectsHost: options["objects-host"] ?? (OBJECTS_HOST || undefined),
    egressAllow: options["egress-allow"] ?? (EGRESS_ALLOW || undefined),
    dohUrl: options["doh-url"] ?? (DOH_URL || "https://cloudflare-dns.com/dns-query"),
  };
  const problem = problemOf(settings);
  if (problem !== undefined) throw new Error(problem);
  return settings;
}

const readConfig = (): Config => Config.parse(readRawConfig({ config: join(ROOT, "wrangler.toml") }).rawConfig);

async function writeConfig(config: Config, kv: Account["kv"], settings: Settings): Promise<void> {
  await mkdir(BUILD, { recursive: true });
  await writeFile(CONFIG, `${JSON.stringify(configFor(config, kv, settings, ".."), null, 2)}\n`);
}

// ---------------------------------------------------------------------------------------------------------------- offline

async function rehearse(): Promise<void> {
  const config = readConfig();
  const settings = readSettings("https://firewatch.example.org");
  console.log(`What would be done on an empty account, for ${settings.publicUrl}:\n`);
  for (const [index, step] of planDeployment(config, EMPTY_ACCOUNT).entries())
    console.log(`${String(index + 1).padStart(4)}  ${describeStep(step)}`);
  await writeConfig(config, new Map(), settings);
  for (const env of ORDER) {
    const { stdout } = await wrangler(["deploy", "--dry-run", ...configured(env)]);
    console.log(`\n${config.env[env].name}\n${stdout.trim()}`);
  }
  console.log("\nNothing was changed: this was a dry run.");
}

// ------------------------------------------------------------------------------------------------------------------- live

async function deploy(): Promise<void> {
  const config = readConfig();
  const settings = readSettings();
  await whoAmI();
  await writeConfig(config, new Map(), settings);
  const account = await look(config);
  const steps = planDeployment(config, account);
  for (const [index, step] of steps.entries()) {
    console.log(`[${index + 1}/${steps.length}] ${describeStep(step)}`);
    // Ids are known as soon as nothing is left to create.
    if (step.do === "deploy") await writeConfig(config, await kvIds(), settings);
    await carryOut(step);
  }
  await greet(settings);
}

async function whoAmI(): Promise<void> {
  const { code, stderr } = await wrangler(["whoami", "--json"], { mayFail: true });
  if (code !== 0) {
    if (stderr.trim() !== "") console.error(stderr.trim());
    throw new Error(
      "Not logged in to Cloudflare. Run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN (and CLOUDFLARE_ACCOUNT_ID where the token sees several accounts).",
    );
  }
}

/** What the account already has of all that we need. */
async function look(config: Config): Promise<Account> {
  // On an account without anything the plan names everything that must be looked for.
  const wanted = planDeployment(config, EMPTY_ACCOUNT);
  const queues = new Set<string>();
  const buckets = new Set<string>();
  for (const step of wanted) {
    if (step.do === "create_queue" && (await exists(["queues", "info", step.name], /does not exist/)))
      queues.add(step.name);
    if (
      step.do === "create_bucket" &&
      (await exists(["r2", "bucket", "info", step.name], /does not exist|code: 10006/))
    )
      buckets.add(step.name);
  }
  const secrets: Account["secrets"] = {};
  for (const { env } of SECRETS) {
    const names = await secretNames(config, env);
    if (names !== undefined) secrets[env] = names;
  }
  return { queues, buckets, secrets, kv: await kvIds() };
}

/** Only a clear "no such thing" counts as absence: a lost connection must not lead to anything being made anew. */
async function exists(args: string[], absent: RegExp): Promise<boolean> {
  const { code, stdout, stderr } = await wrangler(args, { mayFail: true });
  if (code === 0) return true;
  if (absent.test(stdout + stderr)) return false;
  throw failure(args, stdout + stderr);
}

async function secretNames(config: Config, env: WorkerEnv): Promise<Set<string> | undefined> {
  const args = ["secret", "list", "--name", config.env[env].name];
  const { code, stdout, stderr } = await wrangler(args, { mayFail: true });
  if (code === 0)
    return new Set(
      z
        .array(z.looseObject({ name: z.string() }))
        .parse(JSON.parse(stdout))
        .map(({ name }) => name),
    );
  // SEAL_KEYS made anew would shut away every sealed secret for good, so anything but this exact answer stops us.
  if (/Worker "[^"]*" not found|code: 10007/.test(stdout + stderr)) return undefined;
  throw failure(args, stdout + stderr);
}

async function kvIds(): Promise<Map<string, string>> {
  const { stdout } = await wrangler(["kv", "namespace", "list"]);
  return new Map(
    z
      .array(z.looseObject({ id: z.string(), title: z.string() }))
      .parse(JSON.parse(stdout))
      .map(({ id, title }) => [title, id]),
  );
}

async function carryOut(step: Step): Promise<void> {
  switch (step.do) {
    case "create_queue":
      return void (await wrangler(["queues", "create", step.name]));
    case "create_kv":
      return void (await wrangler(["kv", "namespace", "create", step.name, "--update-config=false"]));
    case "create_bucket":
      return void (await wrangler(["r2", "bucket", "create", step.name, "--update-config=false"]));
    case "put_secret":
      return putSecret(step.env, step.name);
    case "deploy":
      return void (await wrangler(["deploy", ...configured(step.env), ...AT_ONCE[step.env]]));
  }
}

/**
 * Running Trackers take the new code now instead of within minutes: api, deployed seconds later, may call what only it has. What
 * they were doing is in their tables, and goes on from there.
 */
const AT_ONCE: Record<WorkerEnv, string[]> = {
  poller: ["--durable-objects-code-update-mode", "immediate"],
  transfer: [],
  api: [],
};

/** A given secret, else a made one. A made ADMIN_TOKEN is shown here and never again; SEAL_KEYS are shown to nobody. */
async function putSecret(env: WorkerEnv, name: SecretName): Promise<void> {
  const given = process.env[name];
  const value = given || makeSecret(name);
  await wrangler(["secret", "put", name, ...configured(env)], { stdin: value });
  if (!given && name === "ADMIN_TOKEN") console.log(`\n  ADMIN_TOKEN, shown only now; keep it safe:\n\n  ${value}\n`);
}

function makeSecret(name: SecretName): string {
  if (name === "ADMIN_TOKEN") return randomBytes(32).toString("base64url");
  const kid = new Date().toISOString().slice(0, 10);
  return JSON.stringify([{ kid, key: randomBytes(32).toString("base64") }]);
}

async function greet({ publicUrl }: Settings): Promise<void> {
  const health = await fetch(`${publicUrl}/health`).then(
    ({ status }) => status,
    () => undefined,
  );
  console.log(`
Firewatch is deployed: ${publicUrl}
${health === 200 ? "It answers." : "It does not answer yet; a new host name needs some minutes for its certificate."}

Next, a connection (docs/deploy.md has more):
  curl -X PUT ${publicUrl}/v1/connections/cscs-hpc -H "authorization: Bearer $ADMIN_TOKEN" -H "content-type: application/json" \\
    -d '{"preset":"cscs-hpc","auth":{"clientId":"…","clientSecret":"…"}}'`);
}

// --------------------------------------------------------------------------------------------------------------- wrangler

const configured = (env: WorkerEnv): string[] => ["--config", CONFIG, "--env", env];

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs wrangler without a terminal, so that it asks nothing. Throws what it said when it fails, unless that is allowed. */
async function wrangler(args: string[], { stdin = "", mayFail = false } = {}): Promise<Ran> {
  const program = join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");
  const child = spawn(process.execPath, [program, ...args], { cwd: ROOT, stdio: ["pipe", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  child.stdin.on("error", () => undefined);
  child.stdin.end(stdin);
  const code = await new Promise<number>((resolve) => child.on("close", (exit) => resolve(exit ?? 1)));
  if (code !== 0 && !mayFail) throw failure(args, stdout + stderr);
  return { code, stdout, stderr };
}

const failure = (args: string[], output: string): Error =>
  new Error(`wrangler ${args.join(" ")} failed:\n${output.trim()}`);

if (options.help) {
  console.log(HELP);
  process.exit(0);
}

try {
  await (options["dry-run"] ? rehearse() : deploy());
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
