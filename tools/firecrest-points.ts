/**
 * What was seen on real FirecREST servers and must be handled, point by point, with the tests that hold us to it. `npm run
 * docs` makes the table from this, and fails when a point has no test or a test that is named here is gone. The points of
 * v2 find their tests by themselves: a test's title begins with, or holds in brackets, what it is about (`C8`, `fact 3`).
 */
interface Point {
  id: string;
  words: string;
  /** A file and a part of a test's title, or several. */
  tests: readonly [file: string, title: string][];
}

export const HEAD = ["Point", "What a client meets", "Tests"];

const V1 = "shared/firecrest/v1";

const V1_POINTS: readonly (readonly [words: string, ...tests: [file: string, title: string][]])[] = [
  [
    "every call that starts something answers with a task, never with 202",
    [`${V1}/jobs.test.ts`, "waits a few seconds for the task and no longer"],
  ],
  [
    "the type of a task's data changes with its status; empty is `{}` or `[]`",
    [`${V1}/round.test.ts`, "takes {} and [] for the same empty answer"],
  ],
  [
    "failure hides inside HTTP 200",
    [`${V1}/jobs.test.ts`, "is refused for certain when sbatch says so"],
    [`${V1}/storage.test.ts`, "fails for certain at 118 and 400"],
  ],
  [
    "tasks may hang for ever",
    [`${V1}/storage.test.ts`, "stays open while a task hangs"],
    [`${V1}/round.test.ts`, "keeps to six requests when the site is slow"],
  ],
  [
    "a lost submission can be found again",
    [`${V1}/jobs.test.ts`, "asks accounting since the day before and the queue without ids"],
    ["test/contract/suite.ts", "exactly once, also when the answer to a submission is lost"],
  ],
  [
    "states are skipped, and come at the pace of the site's own polls",
    [`${V1}/storage.test.ts`, "gives a handle at once, and the link with its end"],
  ],
  [
    "the list of tasks leaves out what it does not know, and shows secrets",
    [`${V1}/storage.test.ts`, "are read in one request, in the order asked"],
    [`${V1}/storage.test.ts`, "are in no log line and no error"],
  ],
  [
    "times have no zone",
    [`${V1}/round.test.ts`, "never uses the site's dates"],
    ["test/tracker/site-trouble.test.ts", "whose clock is %i minutes off ours"],
  ],
  [
    "a token may end inside a task",
    [`${V1}/jobs.test.ts`, "believes a job id although its details could not be read"],
    ["test/tracker/site-trouble.test.ts", "whose tokens live hardly longer than a minute"],
  ],
  [
    "the queue swaps elapsed time and start, and hides the reason for waiting among the nodes",
    [`${V1}/round.test.ts`, "reads the queue's swapped fields"],
    [`${V1}/round.test.ts`, "takes the list in parentheses"],
  ],
  [
    "the queue forgets ended jobs, at last with an error",
    [`${V1}/round.test.ts`, "takes 'Invalid job id specified' about a single id"],
    [`${V1}/round.test.ts`, "asks without ids when one unknown id fails the whole list"],
  ],
  [
    "accounting lags: nothing, a bare allocation, PENDING",
    [`${V1}/round.test.ts`, "gives an allocation row by itself as proof"],
    [`${V1}/round.test.ts`, "concludes nothing when accounting says PENDING"],
  ],
  [
    "accounting's fields have other meanings, its states a uid or a suffix",
    [`${V1}/round.test.ts`, "keeps the uid's meaning of a cancellation"],
    ["shared/firecrest/states.test.ts", "read 0:53 as a job that never ran"],
  ],
  [
    "a cancellation fails inside its task",
    [`${V1}/jobs.test.ts`, "is requested when scancel says so"],
    [`${V1}/jobs.test.ts`, "is refused for somebody else's job"],
  ],
  [
    "arrays come in parts, with paths for an element that there is not",
    [`${V1}/round.test.ts`, "counts a cancelled rest that is one row"],
    [`${V1}/jobs.test.ts`, "takes no path of an array for real"],
  ],
  [
    "names of scripts are changed, and bad requests crash",
    [`${V1}/jobs.test.ts`, "gives an unnamed script a name by its content"],
    ["shared/firecrest/transport.test.ts", "tells gateways, pages and limits apart"],
  ],
  [
    "file jobs that failed end COMPLETED 0:0",
    [`${V1}/storage.test.ts`, "has succeeded only when its error log is empty"],
    ["test/tracker/operations.test.ts", "although the scheduler calls its job COMPLETED"],
  ],
  [
    "links are signed for GET alone, and odd names cannot be staged",
    [`${V1}/storage.test.ts`, "probed by a ranged GET without a bearer"],
    [`${V1}/storage.test.ts`, "refuses names that the site's upload command would not quote"],
  ],
  [
    "`invalidate` invalidates nothing",
    ["test/contract/firecrest.test.ts", "sees that a release which was answered with success released nothing"],
    ["test/tracker/faults.test.ts", "ends as unreleasable with the date of its end"],
  ],
  [
    "an upload is a form with its file last and nothing added",
    [`${V1}/storage.test.ts`, "hands out the form as soon as the site has it"],
  ],
  [
    "an upload's target is not what it seems, and 115 is no end",
    [`${V1}/storage.test.ts`, "is refused into a directory that is not there"],
    ["local/firecrest/v1/storage.test.ts", "is tried again and again where it cannot be moved"],
  ],
  [
    "the kind of an error is in a header, the status is 400",
    [`${V1}/files.test.ts`, "is in the header %s, not in the status"],
    [`${V1}/files.test.ts`, "is told with the site's words and without its headers"],
  ],
  [
    "a closed port and an unknown user have no header of their own",
    [`${V1}/files.test.ts`, "is in the words of X-Error: %s"],
    ["local/firecrest/v1/captures.test.ts", "for systems that are unknown, closed or gone"],
  ],
  [
    "the real limit of a direct download is 3.93 MB",
    [`${V1}/client.test.ts`, "a file's base64 has to fit"],
    ["test/journeys/files.test.ts", "a download above the site's limit is refused"],
  ],
  [
    "`view` is ten lines, and text tools fail on what is no UTF-8",
    [`${V1}/files.test.ts`, "views a whole file, not v1's ten lines"],
    [`${V1}/files.test.ts`, "fetches what the server cannot decode"],
  ],
  [
    "listings have sizes as texts and names in octal",
    [`${V1}/files.test.ts`, "gives sizes as numbers and names without escapes"],
  ],
  [
    "some characters are refused everywhere, bodies are forms",
    [`${V1}/files.test.ts`, "never lets a word out that the site's shell would read"],
    [`${V1}/files.test.ts`, "sends forms, also for PUT and DELETE"],
  ],
  [
    "one slow command holds up everybody",
    ["shared/firecrest/transport.test.ts", "ends at its deadline even when nothing listens"],
  ],
  ["status answers are sixteen minutes old", [`${V1}/client.test.ts`, "is read past the site's sixteen-minute cache"]],
];

/** Corrections to what the sources of v2 let expect, and facts that hold for every client of it. */
const V2_POINTS: Record<string, string> = {
  C1: "a closed SSH port is a 500; a 424 may or may not have had an effect",
  C2: "the command limit is not the one that is published",
  C3: "a time-out can be a 500 about a channel",
  C4: "an empty upload times out and has happened",
  C5: "a download above the ceiling fails late or never",
  C6: "names come in octal, and a space breaks the checksum",
  C7: "404 for a new job",
  C8: "young accounting rows know nothing, and a filter by name loses the job",
  C9: "PENDING may be running",
  C10: "an array's first rows are one element's",
  C11: "times of waiting jobs are forecasts, reasons stick",
  C12: "the filter by name ignores case and cannot take a comma",
  C13: "a refused submission leaves a row",
  C14: "metadata is forgotten with the controller's memory",
  C15: "bad ids and others' jobs are 500",
  C16: "health says nothing about accounting and gates nothing of the object store",
  C17: "an id header that is no UUID is an empty 400",
  C18: "the name of an uploaded file is not confined",
  C19: "an upload takes any size and any target",
  C20: "a missing permission is a 404, zero lines are ten",
  C21: "attaching fails with srun's words",
  C22: "health flags outlive their outage",
  "fact 1": "a submission may be ambiguous",
  "fact 2": "the first end that is shown is not to be trusted",
  "fact 3": "file jobs lie",
  "fact 4": "the status says little",
  "fact 5": "time-outs are long and of one kind",
  "fact 6": "503 comes late and goes late",
  "fact 7": "a link is read by ranged GET; its job may have failed",
  "fact 8": "parts are exact, in order, with their length",
  "fact 9": "paths and names are for an allow-list",
  "fact 10": "answers hold secrets",
};

/** Rows of the table. `sources`: all test files of the clients by path. Throws with what has no test. */
export function pointRows(sources: ReadonlyMap<string, string>): string[][] {
  const points: Point[] = [
    ...V1_POINTS.map(([words, ...tests], n) => ({ id: `v1, ${n + 1}`, words, tests })),
    ...Object.entries(V2_POINTS).map(([id, words]) => ({ id: `v2, ${id}`, words, tests: titlesAbout(id, sources) })),
  ];
  const wrong = points.flatMap(({ id, tests }) => [
    ...(tests.length === 0 ? [`${id} has no test`] : []),
    ...tests.flatMap(([file, title]) =>
      sources.get(file)?.includes(title) === true ? [] : [`${id}: ${file} has no test "${title}"`],
    ),
  ]);
  if (wrong.length > 0) throw new Error(`tools/firecrest-points.ts: ${wrong.join("; ")}`);
  return points.map(({ id, words, tests }) => [
    id,
    words,
    tests.map(([file, title]) => `[${title}](../${file})`).join("<br>"),
  ]);
}

/** Tests of v2 whose title names the point: `C8, fact 1: …`, `… (fact 3)`. */
function titlesAbout(id: string, sources: ReadonlyMap<string, string>): [string, string][] {
  const named = new RegExp(`(^|[ (,])${id}([:,) ]|$)`);
  return [...sources]
    .filter(([file]) => file.startsWith("shared/firecrest/") || file.startsWith("local/firecrest/v2/"))
    .flatMap(([file, text]) =>
      [...text.matchAll(/\b(?:it|describe)(?:\.each\([^)]*\))?\(\s*"((?:[^"\\]|\\.)*)"/g)]
        .map(([, title = ""]) => title)
        .filter((title) => named.test(title))
        .map((title): [string, string] => [file, title]),
    );
}
