/** Acts at the site that somebody waits for, and that are done once for each key. */
import type { Caller, Scope } from "../../shared/contract/access.ts";
import type { Answer, Idempotency, Origin } from "../../shared/contract/rpc.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Env } from "./env.ts";
import { reading } from "./reads.ts";

type Replayed<T> = T & { replayed?: true };

/** Carries out an act once for each key; a repeated request gets the first one's answer. Without a key it is done each time. */
export async function once<T extends object>(
  env: Env,
  connection: string,
  caller: Caller,
  { scope, system, idempotency }: { scope: Scope; system?: string; idempotency: Idempotency | undefined },
  act: () => Promise<Answer<T>>,
): Promise<Answer<Replayed<T>>> {
  if (idempotency === undefined) return act();
  const tracker = env.TRACKER.getByName(connection);
  const taken = (await tracker.takeKey(caller, scope, system, idempotency)) as Answer<{
    actor: string;
    kept?: Answer<T>;
  }>;
  if (!taken.ok) return taken;
  const { actor, kept } = taken.value;
  if (kept !== undefined) return kept.ok ? { ok: true, value: { ...kept.value, replayed: true } } : kept;
  const answer = await act();
  await tracker.settleKey(actor, idempotency, answer);
  return answer;
}

const ADVICE = "Start what takes longer in the background: `nohup … &`";

/** Runs a command beside a running job. Never sent twice by us: nothing shows afterwards whether it ran. */
export async function attach(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  job: string,
  command: string,
  { origin, idempotency }: { origin: Origin; idempotency?: Idempotency },
): Promise<Answer<Replayed<{ exitCode: number }>>> {
  return once(env, connection, caller, { scope: "jobs:write", idempotency }, async () => {
    const found = (await env.TRACKER.getByName(connection).attachable(caller, job)) as Answer<{
      system: string;
      schedulerId: string;
    }>;
    if (!found.ok) return found;
    const { system, schedulerId } = found.value;
    const doing = { act: "job.attach", subject: `jobs/${job}`, origin };
    const answer = await reading<{ exitCode: number }>(
      env,
      log,
      connection,
      caller,
      "jobs:write",
      system,
      async (firecrest) => {
        try {
          return { ok: true, value: await firecrest.attach(system, schedulerId, command) };
        } catch (error) {
          if (!(error instanceof FirecrestError) || error.code !== "scheduler_refused") throw error;
          return { ok: false, code: "conflict", detail: `The job must be running. ${error.message}` };
        }
      },
      doing,
    );
    if (answer.ok || answer.uncertain !== true) return answer;
    return { ...answer, detail: `${answer.detail}. Whether it ran is not known, and it was not sent again. ${ADVICE}` };
  });
}
