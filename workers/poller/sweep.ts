/** Alarm accelerates, cron guarantees: each minute the sweep visits connections with live work. */
import type { Log } from "../../shared/log.ts";
import type { Env } from "./env.ts";

const VISITS = 500;
const PARALLEL = 20;

/** FNV-1a, 32 bits: spreads names evenly, needs no secret. */
const hash = (text: string): number =>
  [...text].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 16_777_619) >>> 0, 2_166_136_261);

/** Which of the live connections are visited in this minute: all up to 500, else every k-th in turn. */
export function visited(names: readonly string[], minute: number): string[] {
  const turns = Math.max(1, Math.ceil(names.length / VISITS));
  return names.filter((name) => hash(name) % turns === minute % turns);
}

export async function sweep(env: Env, log: Log, scheduledTime: number): Promise<void> {
  const live: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await env.INDEX.list<{ live: boolean }>({
      prefix: "connection/",
      ...(cursor === undefined ? {} : { cursor }),
    });
    live.push(
      ...page.keys
        .filter(({ metadata }) => metadata?.live === true)
        .map(({ name }) => name.slice("connection/".length)),
    );
    if (page.list_complete) break;
    cursor = page.cursor;
  }
  const queue = visited(live, Math.floor(scheduledTime / 60_000));
  let failed = 0;
  const visit = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      try {
        await env.TRACKER.getByName(name).tick();
      } catch (error) {
        failed++;
        log({ event: "sweep.failed", connection: name, error });
      }
    }
  };
  const due = queue.length;
  await Promise.all(Array.from({ length: PARALLEL }, visit));
  if (due > 0) log({ event: "sweep", live: live.length, visited: due, failed });
}
