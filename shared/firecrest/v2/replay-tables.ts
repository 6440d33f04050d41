/** What each recorded exchange proves, by the name that the recorder gave it. First match wins. */

/** What our readers make of an answer outside 2xx: `code retry`. First match wins. */
export const REFUSED: [RegExp, string][] = [
  [/^auth\/(none|expired|under-30s|forged|unknown-kid|garbage|basic|empty)\//, "unauthorized never"],
  [/^auth\/(no-username-claim|ghost)\/|^status\/userinfo\/ghost$/, "permission_denied never"],
  [/^status\/\w+\/nope$|^submit\/unknown-system$/, "unknown_system never"],
  [/^(status\/\w+|list|ops)\/refused/, "system_unavailable later"],
  [/^submit\/refused$/, "system_unavailable after_check"],
  [/^status\/request-id\/not-uuid/, "invalid_request never"],

  [/^submit\/(no-script|null-script|empty-script)$/, "command_timeout after_check"],
  [
    /^submit\/(bad-(account|partition|reservation|constraint|sbatch-line)|no-shebang|crlf-script)$/,
    "scheduler_refused never",
  ],
  [/^submit\/(too-much-memory|array-too-big|script-5MB|rejected-named|path-[\w-]+)$/, "scheduler_refused never"],
  [/^submit\/(no-workdir-key|env-number|null-script-explicit|no-json-content-type)$/, "invalid_request never"],
  [/^submit\/(broken-json|empty-body|no-job-key)$/, "invalid_request never"],
  [/^submit\/env-list$/, "site_error after_check"],
  [/^list\/(window-bad|name-300|bad-allusers)$/, "invalid_request never"],
  [/^get\/(array-element|invalid-chars|comma)$|^cancel\/array-like$/, "invalid_request never"],
  [/^get\/invalid$/, "scheduler_refused never"],
  [/^life\/unknown\/|^metadata\/(finished|unknown|invalid|old-finished)$/, "not_found never"],
  [/^(cancel|attach|metadata)\/others-job$/, "permission_denied never"],
  [/^cancel\/(already-cancelled|already-cancelled-again|finished|unknown|invalid|zero)$/, "scheduler_refused never"],
  [/^attach\/(fails|not-found|empty|finished-job|unknown-job|pending-job)$/, "scheduler_refused never"],
  [/^attach\/slow$/, "command_timeout after_check"],
  [/^attach\/no-command$/, "site_error after_check"],

  [/^(ops|transfer)\/\w+\/(outside|outside-source|relative|dotdot-outside|no-path-relative-fs)$/, "invalid_path never"],
  [/^ops\/\w+\/no-path$|^transfer\/mv\/no-path$/, "invalid_path never"],
  [/^ops\/mkdir\/quote$/, "not_found never"],
  [/^ops\/(upload\/quote-name|ls\/quote)$/, "invalid_path never"],
  [/^ops\/\w+\/exists$/, "already_exists never"],
  [/^ops\/extract\/to-denied$/, "permission_denied never"],
  [/^ops\/\w+\/(denied|denied-parent|not-owner|not-permitted)$/, "permission_denied never"],
  [/^ops\/\w+\/(missing|no-parent|missing-dir|no-dir|no-target-dir|broken-link|broken-deref|glob)$/, "not_found never"],
  [/^ops\/ls\/dereference$/, "not_found never"],
  [/^ops\/\w+\/directory$/, "is_a_directory never"],
  [/^ops\/upload\/path-is-file$/, "not_a_directory never"],
  [/^ops\/\w+\/(both|zip|no-target|no-link|no-mode|int-mode|body|no-file|octet-stream)$/, "invalid_request never"],
  [/^ops\/view\/(size-over|size-zero|offset-neg)$/, "invalid_request never"],
  [/^ops\/(chmod\/bad-mode|chown\/bad-\w+|extract\/(not-an-archive|wrong-type))$/, "invalid_request never"],
  [/^ops\/download\/6MB$/, "command_timeout later"],
  [/^ops\/(\w+\/6MB|view\/6MB-half\+1|ls\/70000-files|download\/(3932158|5\w+))$/, "too_large never"],
  [/^ops\/upload\/empty$|^ops\/compress\/slow$/, "command_timeout after_check"],
  [/^ops\/(checksum\/(fifo|30GB)-timeout|download\/(fifo|20MB))$/, "command_timeout later"],
  [/^ops\/checksum\/space$/, "site_error later"],

  [/^transfer\/\w+\/account-missing$|^transfer\/download\/account-bad$/, "scheduler_refused never"],
  [/^transfer\/download\/(streamer|nodata-system)$/, "not_supported never"],
  [/^transfer\/download\/denied-parent$/, "permission_denied never"],
  [/^transfer\/download\/missing$|^transfer\/download\/cancelled\/(out|err)log$/, "not_found never"],
  [/^transfer\/\w+\/(no-directives|no-directives-key|no-path|no-target|body)$/, "invalid_request never"],
  [/^transfer\/upload\/(size-missing|no-size-key)$/, "site_error after_check"],

  [/^outage\/slurmctld\/cluster-raw\/(submit|download|cancel)$/, "command_timeout after_check"],
  [/^outage\/slurmctld-hung\/cluster-raw\/submit$/, "command_timeout after_check"],
  [/^outage\/slurmctld(-hung)?\/cluster(-raw)?\/(get|nodes|list)$/, "command_timeout|system_unavailable later"],
  [/^outage\/sshd-hung\//, "command_timeout later"],
  [/^outage\/slurmdbd\/cluster(-raw)?\/metadata$/, "not_found never"],
  [/^outage\/slurmdbd\/cluster(-raw)?\/cancel$/, "scheduler_refused never"],
  [/^outage\/sshd\/cluster(-raw)?\/(submit|cancel|download|upload)$/, "system_unavailable after_check"],
  [/^outage\//, "system_unavailable later"],
];

/** What a job's last recorded answer proves: `state reason? exitCode?`. */
export const LIVES: [RegExp, string][] = [
  [/^life\/(success|script-path|env|steps|requeue-b|held-released|dependency-afterany|meta)\//, "succeeded 0"],
  [/^life\/signal\//, "failed exit_code 0 signal 9"],
  [/^life\/cmd-not-found\//, "failed exit_code 127"],
  [/^life\/bad-output-path\//, "failed launch_failed 0 signal 53"],
  [/^life\/time-limit\//, "failed timeout 0"],
  [/^life\/array-(mixed|early\/\d)\//, "failed exit_code 1"],
  [/^life\/(cancel-\w[\w-]*|array-cancelled|attached-cancelled)\//, "cancelled cancelled_by_request 0"],
  [/^life\/cancelled-by-root\//, "cancelled cancelled_by_scheduler 0"],
  [/^life\/dependency-never-satisfied\//, "queued never_starts"],
  [/^life\/(requeue|held|het|node-fail-requeue|node-fail-requeue-b)\//, "queued"],
  [/^life\/(suspend-resumed|for-attach)\//, "running"],
  // Recorded twice: before the node was taken down, and after.
  [/^life\/node-fail\//, "queued|failed node_fail 0"],
  // The recorder stopped at a row that does not know the job yet.
  [/^life\/(failure|missing-workdir)\/|^transfer\/download\/(space|cancelled)\//, "unknown"],
  [/^transfer\/download\/(empty|denied-file)\//, "failed exit_code 70"],
  [/^transfer\/download\/(directory|ampersand)\//, "failed exit_code 34"],
  [/^transfer\/upload\/to-directory\//, "failed exit_code 3"],
  [/^transfer\/upload\/abandoned\//, "cancelled cancelled_by_request 0"],
  // File jobs end like this whether they worked or not.
  [/^transfer\//, "succeeded 0"],
];

/** What the client makes of a file job, all its sources together, when the target is there as asked. */
export const FILE_JOBS: [RegExp, "done" | "failed"][] = [
  [/^transfer\/(cp|mv|rm|compress|extract)\/(ok|dir|dereference|outside-target|space|none|pattern|nodata)$/, "done"],
  [/^transfer\/(cp|mv|rm|compress|extract)\/(missing|denied|ampersand|trailing-slash)$/, "failed"],
  [/^transfer\/extract\/(no-target-dir|not-an-archive|wrong-type)$/, "failed"],
  [/^transfer\/upload\/(20MB|20MB-late|outside-fs|size-lie-small|overwrite|space-name|ampersand-name)$/, "done"],
  [/^transfer\/upload\/(unwritable-dir|missing-dir|to-directory|abandoned)$/, "failed"],
];

/** The object store: what a probe of the link would conclude, or that only the copying worker speaks this. */
export const STORE: [RegExp, string][] = [
  [/^s3\/(20MB|small|link)\/get$/, "live"],
  [/^s3\/20MB\/range$/, "live"],
  [/^s3\/(empty|directory|space|ampersand|cancelled)\/get$/, "dead 404"],
  [/^s3\/20MB\/(tampered|unsigned|wrong-key)$|^s3\/p\/get-part-url$/, "dead 403"],
  [/^s3\/20MB\/suffix$/, "live"],
  [/^s3\/20MB\/beyond$/, "unsure 416"],
  [/^s3\/20MB\/if-match-wrong$/, "unsure 412"],
  [/^s3\/20MB\/if-none-match$/, "unsure 304"],
  [/^s3\/20MB\/with-bearer$/, "unsure 400"],
  [/^s3\/20MB\/(head|delete|put|options)$/, "another method: 403"],
  [/^s3\/[\w-]+\/part[\w-]*$/, "another method: 200|400|404|411"],
  [/^s3\/[\w-]+\/complete[\w-]*$/, "another method: 200|400|500"],
];

/** Requests that the client never makes; how the transport would take their answers. */
export const NOT_OURS: [RegExp, string][] = [
  [/^status\/liveness-no-slash$|^status\/systems-slash$/, "site_error never"],
  [/^(not-found|ops\/unknown-op)$/, "not_supported never"],
  [/^(wrong-method|head-systems|options-systems)$/, "not_supported never"],
  [/^openapi$/, "read"],
];

/** Notes of the recorder: time lines of states, latencies, broken connections. */
export const NOTES =
  /^(visibility\/|list\/array-while-running$|outage\/\w+\/recovery$|concurrency\/|latency\/|restart\/\d\/submit$|transfer\/download\/20MB\/url-probe$)/;
