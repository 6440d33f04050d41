/**
 * Every recorded exchange of a real v1 deployment goes through the decoders that the client uses. The table says, by the
 * exchange's name, what has to come out; a line that no row of it names fails the suite.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { outcomeOf, readRecording } from "./recorded.ts";

const FILE = fileURLToPath(new URL("../../../test/data/captures/v1.jsonl", import.meta.url).href);
const RECORDING = readRecording(readFileSync(FILE, "utf8"));

/**
 * By name; the first row that matches says the outcome of a line (or what it begins with, where it ends in `*`).
 * Within a task's life ` > ` separates its states.
 */
const EXPECTED: [RegExp, string][] = [
  [/^emulated-token\/ok$/, "token 5"],
  [/^emulated-token\//, "token_refused never"],

  [/^status\/systems\/nope$/, "unknown_system never"],
  [/^status\/(services|filesystems)\/nope$/, "not_found never"],
  [/^status\/systems(-cached)?$|^outage\/sshd\/systems$/, "systems 3"],
  [/^status\/systems\//, "systems 1"],
  [
    /^status\/parameters$/,
    "version,scheduler,objectStorage,stagingTtlSeconds,stagingMaxBytes,directMaxBytes,directUploadMaxBytes,commandTimeoutSeconds",
  ],
  [/^status\//, "status true"],

  [/^auth\/gateway\/(unknown-route|tasks-wrong-method|compute-no-slash)$/, "not_supported never"],
  [/^auth\/(gateway|direct)\/|^tasks\/get-no-token$/, "unauthorized never"],
  [/^auth\/ghost\/(whoami|download)$/, "permission_denied never"],
  [/^auth\/ghost\//, "system_unavailable later"],

  [/^machine\/unknown\//, "unknown_system never"],
  [/^machine\/missing\//, "invalid_request never"],
  [/^machine\/refused\/partitions$/, "task"],
  [/^machine\/(refused|noname)\//, "system_unavailable later"],

  [/^utilities\/whoami\/groups$/, "output object"],
  [/^utilities\/(mkdir|symlink)\/exists$/, "already_exists never"],
  [/^utilities\/mkdir\/no-parent$|^utilities\/upload\/no-such-dir$/, "not_found never"],
  [/^utilities\/.*\/(forbidden-char|quote-name)$/, "invalid_path never"],
  [
    /^utilities\/.*\/(no-(path|file|link|source|mode)|empty-path|both|bad-(bytes|mode|user|group)|none|query-param)$/,
    "invalid_request never",
  ],
  [/^utilities\/extract\/(unsupported|not-an-archive)$/, "invalid_request never"],
  [/^utilities\/.*\/(missing|follow|grep-none|no-dir|no-target-dir|no-target)$/, "not_found never"],
  [/^utilities\/.*\/(.*denied|not-owner|not-permitted)$/, "permission_denied never"],
  [/^utilities\/(upload\/over-5MB|.*\/over-5MB|download\/4MB|ls\/60000-.*)$/, "too_large never"],
  [/^utilities\/upload\/target-is-file$/, "not_a_directory never"],
  [/^utilities\/(download|checksum|head|tail|view)\/(directory|dir)$/, "is_a_directory never"],
  [/^utilities\/checksum\/timeout-fifo$/, "command_timeout later"],
  [/^utilities\/(head|tail|view)\/(binary|split-utf8)$/, "unreadable_answer never"],
  [/^utilities\/(unknown-endpoint|ls\/wrong-method)$/, "not_supported never"],
  [/^utilities\/ls\/empty$/, "entries 0"],
  // The recording holds only the beginning of these answers.
  [/^utilities\/ls\/10000-files$|^tasks\/list-all$/, "unreadable_answer later"],
  [/^utilities\/ls\//, "entries 1"],
  [/^utilities\/stat\//, "stat"],
  [/^utilities\/download\/(empty|fifo)$/, "bytes 0"],
  [/^utilities\/download\//, "bytes 1"],
  [/^utilities\/rm\//, "removed"],
  [/^utilities\//, "output string"],

  [
    /^compute\/jobs-upload\/(bad-(account|partition|option|time)|no-shebang|dos-lines)\/task-life$/,
    "queued > submit failed scheduler_refused certain",
  ],
  [
    /^compute\/jobs-path\/(no-shebang|bad-partition|bad-account)\/task-life$/,
    "queued > submit failed scheduler_refused certain",
  ],
  [/^states\/part-drained\/submit\/task-life$/, "queued > submit failed scheduler_refused certain"],
  [/^compute\/jobs-upload\/array\/task-life$/, "queued > submit done id"],
  [/^compute\/jobs-(upload|path)\/.*\/task-life$/, "queued > submit done id out"],
  [
    /^compute\/jobs-upload\/(account-bad-char|empty|no-file|no-filename|bad-env)$|^compute\/jobs-path\/(bad-env|no-path)$/,
    "invalid_request never",
  ],
  [/^compute\/job-submit-no-content$/, "invalid_request never"],
  [/^compute\/jobs-upload\/not-utf8$/, "site_error after_check"],
  [/^compute\/jobs-upload\/over-5MB$/, "too_large never"],
  [/^compute\/jobs-path\/missing$/, "not_found never"],
  [/^compute\/jobs-path\/directory$/, "is_a_directory never"],
  [/^compute\/jobs-path\/denied$/, "permission_denied never"],

  [
    /^compute\/jobs-list\/(unknown|finished-after-MinJobAge|page99|page-neg)\/task-life$/,
    "queued > query failed site_error",
  ],
  [/^compute\/acct\/(invalid-jobs|page99)\/task-life$/, "queued > query failed site_error"],
  [
    /^compute\/jobs-list\/(one-finished|one-failed|several-unknown|others-job|two-finished-after-MinJobAge|none)\/task-life$/,
    "queued > rows ",
  ],
  [/^compute\/acct\/(unknown|end-only)\/task-life$/, "queued > rows "],
  [/^compute\/acct\/cancelled-.*\/task-life$/, "queued > rows cancelled"],
  [/^compute\/acct\/timeout-job\/task-life$/, "queued > rows failed"],
  [/^compute\/(jobs-list|acct)\/.*\/task-life$/, "queued > rows *"],
  [
    /^compute\/jobs-list\/(invalid|empty-item|empty|forbidden)$|^compute\/acct\/forbidden$|^compute\/cancel\/forbidden-char$/,
    "invalid_request never",
  ],
  [/^compute\/jobs-get\/invalid$/, "invalid_request never"],
  [/^compute\/jobs-get\/.*\/task-life$/, "queued"],
  [
    /^compute\/cancel\/(finished|unknown|running-again|invalid|finished-after-MinJobAge)\/task-life$/,
    "queued > cancel failed scheduler_refused certain",
  ],
  [/^compute\/cancel\/others\/task-life$/, "queued > cancel failed permission_denied certain"],
  [/^(compute\/cancel|states\/long-epilogue\/cancel).*\/task-life$/, "queued > cancel done"],
  [/^compute\/nodes\/(unknown|one-unknown)\/task-life$/, "queued > other 400"],
  [/^compute\/(nodes|partitions|reservations)\/.*\/task-life$/, "queued > other 200"],
  [/^compute\/jobs-wrong-method$|^slash\//, "not_supported never"],
  [/^reservations-svc\/list$/, "not_found never"],
  [/^reservations-svc\//, "invalid_request never"],

  [/^xfer-internal\/bad-account\/task-life$/, "queued > submit failed scheduler_refused certain"],
  [/^xfer-internal\/.*\/task-life$/, "queued > submit done id out"],
  [/^xfer-internal\/forbidden$|^xfer-external-(download|upload)\/forbidden$/, "invalid_path never"],
  [/^xfer-internal\/unknown-op$/, "not_supported never"],
  [
    /^xfer-(internal|external-download|external-upload)\/(bad-time|no-source|no-target|no-path|extract-unsupported)$/,
    "invalid_request never",
  ],
  [/^xfer-external-download\/missing$/, "not_found never"],
  [/^xfer-external-download\/directory$/, "is_a_directory never"],
  [/^xfer-external-download\/denied$/, "permission_denied never"],
  [/^xfer-external-download\/(no-bucket-create)\/task-life$/, "stage working > stage failed site_error certain"],
  [
    /^xfer-external-download\/space-name\/task-life$/,
    "stage working > stage working > stage failed site_error certain",
  ],
  [
    /^(xfer-external-download\/.*|restart\/tasks\/download)\/task-life$/,
    "stage working > stage working > stage done link",
  ],
  [/^xfer-external-upload\/no-such-dir$/, "not_found never"],
  [
    /^xfer-external-upload\/(no-bucket-create|unwritable-dir-object-deleted)\/task-life$/,
    "upload working > upload failed site_error certain",
  ],
  [
    /^xfer-external-upload\/target-breaks-b\/task-life$/,
    "upload working > upload working > upload working > upload done",
  ],
  // 113 and 115 by turns: the site tries again and again.
  [
    /^xfer-external-upload\/(target-breaks-a|unwritable-dir-after-post)\/task-life$/,
    "upload form > upload working > upload working*",
  ],
  [/^(xfer-external-upload\/.*after-post|restart\/storage\/after-post)\/task-life$/, "upload form > upload working*"],
  [/^(xfer-external-upload\/.*|restart\/storage\/upload)\/task-life$/, "upload working > upload *"],
  [/^xfer-external-invalidate\/(others-task|unknown)$/, "not_found never"],
  [/^xfer-external-invalidate\/(no-header|not-alnum)$/, "invalid_request never"],
  [/^xfer-external-invalidate\/upload-never-posted$/, "site_error after_check"],
  [/^xfer-external-invalidate\/|^restart\/tasks\/invalidate$/, "invalidated"],

  [/^temp-url\/head$/, "head 403"],
  [/^temp-url\/(tampered|unsigned)$|^s3\/expired-url$/, "link dead"],
  [/^temp-url\/(range-beyond|with-authorization)$/, "link unsure"],
  [/^temp-url\//, "link live"],
  [/^s3-form-post\/bad-signature$|^node\/s3-post-(extra-field|wrong-key)$|^s3\/expired-form$/, "form 403"],
  [/^node\/s3-post-chunked$/, "form 411"],
  [/^node\/s3-post-file-first$/, "form 400"],
  [/^s3-form-post\/|^node\/s3-post-form$/, "form 204"],

  [/^tasks\/(list-unknown|list-others-ids|invalidated-after-5min\/list)$/, "tasks 0"],
  [/^tasks\/(list-empty|list-forbidden)$/, "invalid_request never"],
  [/^tasks\/list-two$/, "tasks 2"],
  [/^tasks\/(.*\/list|list-slash|list-one-known-one-unknown)$/, "tasks 1"],
  [/^tasks\/(get-unknown|get-garbage|invalidated-after-5min\/get)$/, "not_found never"],
  [/^tasks\/(get-others|direct-delete)$/, "permission_denied never"],
  [/^tasks\/get-deep$/, "not_supported never"],
  [/^tasks\/before-invalidate\/get$|^restart\/tasks\/get-after$/, "one stage done link"],
  [/^tasks\/after-invalidate\/get$|^restart\/tasks\/get-before$/, "one stage gone"],
  [/^tasks\/(upload-111|upload-never-posted-after-invalidate)\/get$/, "one upload form"],
  [/^tasks\/upload-114\/get$/, "one upload done"],
  [/^tasks\/at-115\/get$/, "one upload working"],

  [/^node\/mkdir-json$/, "invalid_request never"],
  [/^node\/(download-size-(3932160|3932161|4000000|5242880)|upload-size-5242880)$/, "too_large never"],
  [/^node\/download-/, "bytes 1"],
  [/^node\/ls-utf8$/, "entries 1"],
  [/^node\/rm-delete-body$/, "removed"],
  [/^node\/(mkdir|upload)-/, "output string"],

  [
    /^outage\/slurmdbd\/acct\/task-life$|^outage\/slurmctld\/list\/task-life$/,
    "queued > query failed system_unavailable",
  ],
  [/^outage\/slurmctld\/submit\/task-life$/, "queued > submit failed system_unavailable maybe"],
  [/^outage\/slurmdbd\/submit\/task-life$/, "queued > submit done id out"],
  [/^outage\/slurmctld\/acct\/task-life$/, "queued > rows succeeded"],
  [/^outage\/(sshd|certificator)\/(whoami|jobs|submit|download)$/, "system_unavailable later"],
  [/^outage\/s3\/download\/task-life$/, "stage working"],
  [/^outage\/s3\/upload\/task-life$/, "upload working > upload working"],
  [/^outage\/tasks\/get$/, "gateway later"],
  [/^outage\/(tasks|redis)\//, "site_error later"],
  [/^token-expires\/0\.15\/submit$/, "site_error later"],
  // The task of a submission whose token ran out: before sbatch for certain, at sbatch perhaps, or after it.
  [/^token-expires\/0\.(3|45)\/task-life$/, "queued > submit failed site_error certain"],
  [/^token-expires\/0\.(6|75|9)\/task-life$/, "queued > submit failed site_error maybe"],
  [/^token-expires\/1\.05\/task-life$/, "queued > submit done id warning"],
  // A task that hangs at 100 while its job runs.
  [/^restart\/compute(-after-sbatch\/\d)?\/task\/task-life$/, "queued"],
  [/^restart\/compute-after-sbatch\/\d\/slurm$/, "task left at 100"],
  [/^restart\/compute-after-sbatch\/find-by-list\/task-life$/, "queued > rows *"],

  [/^lag\/\d$|^states\/long-epilogue$/, "trace *"],
  [/^concurrency\//, "latencies"],
  [/^head\//, "invalid_request never"],
  [/^(states|lag|fresh|job-data)\/.*submit\/task-life$|^fresh\/\d\/task-life$/, "queued > submit done id out"],
  [/^(states|fresh|job-data)\/.*\/task-life$/, "queued > rows*"],
  [/^x$/, "task"],
  [
    /^(compute|xfer-internal|xfer-external-(download|upload)|states|fresh|lag|outage|restart|token-expires|job-data|node)\//,
    "task",
  ],
];

const matches = (outcome: string, expected: string): boolean =>
  expected.endsWith("*") ? outcome.startsWith(expected.slice(0, -1)) : outcome === expected;

describe("a recorded exchange with a real v1 deployment", () => {
  it("means what it meant there, for every single one", async () => {
    const wrong: string[] = [];
    for (const [i, line] of RECORDING.lines.entries()) {
      const row = EXPECTED.find(([pattern]) => pattern.test(line.name));
      const outcome = await outcomeOf(RECORDING, line);
      if (row === undefined) wrong.push(`${i} ${line.name}: no row says that it is "${outcome}"`);
      else if (!matches(outcome, row[1])) wrong.push(`${i} ${line.name}: "${outcome}", not "${row[1]}"`);
    }
    expect(wrong).toEqual([]);
    expect(RECORDING.lines.length).toBeGreaterThan(1_000);
  });

  it("is needed by every row of the table", () => {
    const used = new Set(RECORDING.lines.map(({ name }) => EXPECTED.findIndex(([pattern]) => pattern.test(name))));
    expect(EXPECTED.filter((_, i) => !used.has(i))).toEqual([]);
  });
});
