/** What a v2 site does beyond the contract, or instead of it. Tests and people change it while the site runs. */

export interface V2Options {
  /** What `f7t-appversion` says, and with it the form of answers: below 2.5 integer ids and snake_case directives. */
  release: string;
  /** 404 for this many looks at a new job, although it exists. */
  hiddenLooks: number;
  /** Uploads report success and write nothing. */
  phraseWithoutFile: boolean;
  /** Services that the health checks have flagged: `scheduler`, `ssh`, `s3`, or the path of a file system. */
  unhealthy: string[];
  /** Transfers and file jobs need an account. */
  accountRequired: boolean;
  /** Bytes of one part of a staged object. */
  maxPartBytes: number;
  /** How long a link and a waiting upload job live; the job by its directive `--time`. */
  jobMinutes: number;
  /** Between two looks of an upload job for its object, milliseconds; a minute on real sites. */
  ingressPollMs: number;
  /** Command that moves bytes for jobs on hosts with a shell; see `mover.ts`. */
  mover: readonly string[];
}

export const DEFAULT_V2_OPTIONS: V2Options = {
  release: "2.5.7",
  hiddenLooks: 0,
  phraseWithoutFile: false,
  unhealthy: [],
  accountRequired: false,
  maxPartBytes: 8 * 1024 * 1024,
  jobMinutes: 15,
  ingressPollMs: 500,
  mover: [],
};

const minorOf = ({ release }: Pick<V2Options, "release">): number => Number(/^2\.(\d+)/.exec(release)?.[1] ?? 99);

/** Before 2.5.0 job ids were numbers. */
export const hasIntegerIds = (options: V2Options): boolean => minorOf(options) < 5;
/** Servers of then took a body without a content type for JSON, and clients of then (pyfirecrest up to 3.5) sent none. */
export const guessesJson = (options: V2Options): boolean => minorOf(options) < 5;
/** In 2.4.x the transfer directives came in snake_case; before, there were none. */
export const directiveStyle = (options: V2Options): "flat" | "snake" | "camel" =>
  minorOf(options) < 4 ? "flat" : minorOf(options) < 5 ? "snake" : "camel";
