/** A connection with ten thousand live jobs: what a poll round writes, and how its time grows. */
import type { Bench } from "./bench.ts";
import { openRooms } from "./support/rooms.ts";
import type { Row } from "./table.ts";

const JOBS = [100, 1_000, 10_000];
const ENDING = 10;
const ROUNDS = 20;

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
            written: quiet.tableRows / ROUNDS,
            alarms: quiet.alarmsSet / ROUNDS,
            billed: (quiet.rowsWritten + quiet.alarmsSet) / ROUNDS,
            read: quiet.rowsRead / ROUNDS,
            ms,
            perJob: (ms * 1000) / jobs,
            changed: endedRows,
            endsWritten: ends.tableRows,
            endsAlarms: ends.alarmsSet,
            endsBilled: ends.rowsWritten + ends.alarmsSet,
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
        billed: { title: "billed", digits: 1 },
        read: { title: "rows read", digits: 0 },
        ms: { title: "ms", digits: 1 },
        perJob: { title: "µs/job", digits: 0 },
        changed: { title: `rows changed (${ENDING} end)`, digits: 0 },
        endsWritten: { title: "rows written then", digits: 0 },
        endsAlarms: { title: "alarms set then", digits: 0 },
        endsBilled: { title: "billed then", digits: 0 },
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
        `mean of ${ROUNDS} quiet rounds on v2; rows changed are jobs and their events. Rows written are rows of tables; billed is what Cloudflare counts: every index entry is a row more, and every alarm that is set`,
        "a quiet round writes when to look again, and sets the alarm. One with news writes both twice, before it begins and after it, since news brings the next look forward; each event is named by one index besides",
        "ms: median, in workerd, the site's answer repeated from memory, so that only our reading, comparing and pacing is in it",
      ],
    };
  },
};
