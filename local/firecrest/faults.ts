/**
 * Faults of a FirecREST site, switched on and off while it runs. A fault has a kind, a match, and a count or a
 * probability; the first one that matches is taken. `/_control/faults` sets them over HTTP where that is enabled.
 */
import { z } from "zod";

const Common = {
  /** Regular expressions; `path` is matched against path and query. Absent = everything. */
  match: z.object({ method: z.string().optional(), path: z.string().optional() }).optional(),
  /** How often it strikes; absent = until it is removed. */
  count: z.number().int().positive().optional(),
  /** Chance per matching request, drawn from the site's seeded generator. */
  probability: z.number().min(0).max(1).optional(),
  /** Matching requests that pass unharmed first. */
  after: z.number().int().nonnegative().optional(),
};

export const Fault = z.discriminatedUnion("kind", [
  /** The request takes its full effect, then the connection is dropped without an answer. */
  z.object({ kind: z.literal("lost_answer"), ...Common }),
  /** The request takes its full effect, then this status is answered (JSON like the gateway's). */
  z.object({ kind: z.literal("effect_then_error"), status: z.number().int().default(500), ...Common }),
  /** Nothing happens but this JSON error. */
  z.object({ kind: z.literal("error"), status: z.number().int().default(500), ...Common }),
  /** Nothing happens; an HTML page as a gateway sends it. */
  z.object({ kind: z.literal("bad_gateway"), status: z.number().int().default(502), ...Common }),
  /** 429. `retryAfter`: seconds, sent as a number or as an HTTP date; absent = no header (`reset` = `RateLimit-Reset`). */
  z.object({
    kind: z.literal("rate_limited"),
    retryAfterSeconds: z.number().nonnegative().optional(),
    form: z.enum(["seconds", "date", "reset"]).default("seconds"),
    gateway: z.enum(["kong", "wso2"]).default("kong"),
    ...Common,
  }),
  /** As if nothing listened: the connection breaks before anything happens. */
  z.object({ kind: z.literal("down"), ...Common }),
  /** The answer comes this much later (real time on a server, the host's time in memory). */
  z.object({ kind: z.literal("slow"), ms: z.number().nonnegative(), ...Common }),
  /** Tokens issued from now on live this long. */
  z.object({ kind: z.literal("token_life"), seconds: z.number().int(), ...Common }),
  /** A read of a staged object breaks after this many bytes of its body. */
  z.object({ kind: z.literal("staged_read_cut"), bytes: z.number().int().nonnegative(), ...Common }),
  /** The login node of a system (default: of all) cannot be reached, or its port is closed. */
  z.object({
    kind: z.literal("system_unavailable"),
    system: z.string().optional(),
    how: z.enum(["unreachable", "refused"]).default("unreachable"),
    ...Common,
  }),
  /** Accounting shows young jobs (by age since submission) as `allocation` rows, or not at all. */
  z.object({
    kind: z.literal("young_accounting"),
    rows: z.enum(["skeleton", "missing"]).default("skeleton"),
    youngerThanMs: z.number().nonnegative(),
    ...Common,
  }),
  /** v1: the task of the request never leaves 100. `effect`: whether its work is done nevertheless. */
  z.object({ kind: z.literal("task_stuck"), effect: z.boolean().default(false), ...Common }),
  /** The controller or the accounting database does not answer (commands fail with Slurm's text). */
  z.object({
    kind: z.literal("scheduler_down"),
    part: z.enum(["controller", "accounting"]).default("controller"),
    ...Common,
  }),
]);
export type Fault = z.infer<typeof Fault>;
export type FaultInput = z.input<typeof Fault>;
export type FaultKind = Fault["kind"];
export type FaultOf<K extends FaultKind> = Extract<Fault, { kind: K }>;

/** What a fault is matched against. */
export interface Occasion {
  method: string;
  /** Path and query. */
  path: string;
}

interface Armed {
  id: number;
  fault: Fault;
  seen: number;
  struck: number;
}

/** The faults in force; change them at any time. */
export class Faults {
  readonly #random: () => number;
  #armed: Armed[] = [];
  #nextId = 1;

  /** `random` yields numbers in [0, 1); see `seededRandom`. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Returns an id for `remove`. Throws a ZodError for anything that is no fault. */
  add(input: FaultInput): number {
    const id = this.#nextId++;
    this.#armed.push({ id, fault: Fault.parse(input), seen: 0, struck: 0 });
    return id;
  }

  remove(id: number): void {
    this.#armed = this.#armed.filter((armed) => armed.id !== id);
  }

  clear(): void {
    this.#armed = [];
  }

  /** With how often each has struck. */
  list(): { id: number; fault: Fault; struck: number }[] {
    return this.#armed.map(({ id, fault, struck }) => ({ id, fault, struck }));
  }

  /** The first fault of this kind that strikes on this occasion; counts it. `accept` narrows further (a system's name). */
  strike<K extends FaultKind>(
    kind: K,
    occasion: Occasion,
    accept?: (fault: FaultOf<K>) => boolean,
  ): FaultOf<K> | undefined {
    for (const armed of this.#armed) {
      if (armed.fault.kind !== kind || !matches(armed.fault, occasion)) continue;
      const fault = armed.fault as FaultOf<K>;
      if (accept !== undefined && !accept(fault)) continue;
      if (armed.seen++ < (fault.after ?? 0)) continue;
      if (fault.count !== undefined && armed.struck >= fault.count) continue;
      if (fault.probability !== undefined && this.#random() >= fault.probability) continue;
      armed.struck++;
      return fault;
    }
    return undefined;
  }
}

function matches(fault: Fault, occasion: Occasion): boolean {
  const { method, path } = fault.match ?? {};
  return (
    (method === undefined || new RegExp(method, "i").test(occasion.method)) &&
    (path === undefined || new RegExp(path).test(occasion.path))
  );
}

/** A small deterministic generator (mulberry32), good enough for choosing faults and making ids repeatable. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
