/** A connection with ten thousand live jobs: what a poll round writes, and how its time grows. */
import type { Bench } from "./bench.ts";
import { openRooms } from "./support/rooms.ts";
import type { Row } from "./table.ts";

const JOBS = [100, 1_000, 10_000];
const ENDING = 10;
const ROUNDS = 15;

export const manyJobs: Bench = {
  name: "many-jobs",
  async run({ most = Number.POSITIVE_INFINITY }) {
    const rooms = await openRooms();
    const rows: Row[] = [];
    try {
      for (const jobs of JOBS.filter((count) => count <= most)) {
        const output = await rooms.run("rounds", { jobs, rounds: ROUNDS, ending: ENDING });
        const { quiet, ends, endedRows, milliseconds: ms } = output;
        rows.push({
          label: `${jobs} live jobs`,
          values: {
            requests: quiet.siteRequests / ROUNDS,
            written: quiet.rowsWritten / ROUNDS,
            alarms: quiet.alarmsSet / ROUNDS,
            read: quiet.rowsRead / ROUNDS,
            ms,
            perJob: (ms * 1000) / jobs,
            changed: endedRows,
            endsWritten: ends.rowsWritten,
          },
        });
      }
    } finally {
      await rooms.close();
    }
    const written = rows.map(({ values }) => (values.written ?? 0) + (values.alarms ?? 0));
    const perJob = rows.map(({ values }) => values.perJob ?? 0);
    return {
      name: manyJobs.name,
      claim: "ten thousand live jobs on one connection cost a round no more writes than a hundred",
      measures: {
        requests: { title: "requests", digits: 1 },
        written: { title: "rows written", digits: 1 },
        alarms: { title: "alarms set", digits: 1 },
        read: { title: "rows read", digits: 0 },
        ms: { title: "ms", digits: 1 },
        perJob: { title: "µs/job", digits: 0 },
        changed: { title: `rows changed (${ENDING} end)`, digits: 0 },
        endsWritten: { title: "rows written then", digits: 0 },
      },
      rows,
      baseline: `${JOBS[0]} live jobs`,
      ratios: ["written", "ms"],
      aims: [
        {
          text: "a round that sees nothing new writes the same rows at any number of jobs",
          met: Math.max(...written) - Math.min(...written) < 0.5,
        },
        { text: "a quiet round: rows written, alarms included, ≤ rows changed + 2", met: Math.max(...written) <= 2 },
        {
          text: `a round that sees ${ENDING} ends: rows written ≤ rows changed + 2`,
          met: rows.every(({ values }) => (values.endsWritten ?? 0) <= (values.changed ?? 0) + 2),
        },
        { text: "time per round grows at most linearly", met: Math.max(...perJob) <= (perJob[0] ?? 0) * 1.1 },
      ],
      notes: [
        `mean of ${ROUNDS} quiet rounds on v2; rows written as Cloudflare counts them, index entries apart; an alarm that is set is one row more`,
        "why the two are missed: Cloudflare counts every index entry as a row, and an alarm that is set. A quiet round changes one row (when to look again), its index entry, and sets the alarm twice (at first a minute ahead, in case it dies); an end changes a job and its events, each of which has index entries",
        "ms: median, in workerd, the site's answer repeated from memory, so that only our reading, comparing and pacing is in it",
      ],
    };
  },
};
