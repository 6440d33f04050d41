/**
 * Between the Tracker and the Workers that carry out effects. These calls carry links and tokens: they are never logged.
 */

import type { UpWork } from "./up.ts";

/** `begin` commits `sent` before anything leaves. */
export type Begun<Work> =
  /** `attempt` goes back with the outcome: that of an earlier attempt is not taken for this one's. */
  | { go: true; work: Work; attempt: number }
  /** Not now (budget, paused): the Tracker has put it on its agenda. Or already sent, done, unknown id. Acknowledge. */
  | { go: false; why: "not_yet" | "already_sent" | "over" };

/** What the transfer Worker does to bytes. R2 keys are full keys (`<connection>/<key>`). */
export type ByteWork =
  | CopyWork
  | {
      kind: "complete";
      transfer: string;
      objectKey: string;
      uploadId: string;
      parts: { n: number; etag: string }[];
      bytes: number;
      overwrite: boolean;
      metadata: Record<string, string>;
    }
  /** `isUnwanted`: the transfer has ended and was not stored, so an object that came all the same goes, too. */
  | { kind: "abort"; transfer: string; objectKey: string; uploadId?: string; isUnwanted: boolean }
  /** Empty files are not staged: the object is made directly. */
  | { kind: "put_empty"; transfer: string; objectKey: string; overwrite: boolean; metadata: Record<string, string> }
  | UpWork;

export interface CopyWork {
  kind: "copy";
  transfer: string;
  /** The staged link: a secret. */
  url: string;
  /** Origins of the site's object store, to which the link must lead. Absent: the Tracker has checked it. */
  storageOrigins?: string[];
  objectKey: string;
  /** From `stat` before staging. */
  expectedBytes: number;
  /** The link leads to this piece of the file only. Its parts are copied, and `copied` speaks of them. */
  piece?: { from: number; bytes: number };
  /** Fixed at the first start; every later invocation goes on with these. */
  upload?: { uploadId: string; partBytes: number; totalBytes: number; sourceEtag?: string };
  /** Parts already stored. */
  parts: { n: number; etag: string }[];
  /** `hash`: read in order and hash the whole while copying (≤ 1 GiB). `parts`: any order, each part hashed where asked. */
  mode: "hash" | "parts";
  /** What the site itself has hashed the file to: one that fits one part then goes to R2 in a single put. */
  whole?: { sha256: string; overwrite: boolean };
  /** Hash each part (to compare with a manifest). */
  hashParts: boolean;
  /** Stop after about this long and report `paused`; the Tracker sends the next segment. */
  segmentMs: number;
  metadata: Record<string, string>;
}

export interface PartDone {
  n: number;
  etag: string;
  bytes: number;
  sha256?: string;
}

export type ByteOutcome =
  /** Every part is stored. `sha256` of the whole in mode `hash`. A copy in a single put is `completed` at once. */
  | { kind: "copied"; totalBytes: number; sha256?: string }
  | { kind: "paused" }
  | { kind: "completed"; etag: string; bytes: number }
  | { kind: "aborted" }
  /** The file that goes up. */
  | { kind: "inspected"; bytes: number; etag: string; sha256?: string }
  /** All of it is in the site's staging area. */
  | { kind: "sent" }
  | { kind: "discarded" }
  /**
   * `missing`: there is no such object, or nobody at that URL has it. `link_dead`: 403/404/410 → stage again. `changed`: ETag or length differs → start over. `later`: try this again.
   * `upload_gone`: R2 no longer knows the multipart upload → start over. `exists`: another object is already under the key
   * and may not be replaced (`overwrite: false`). `never`: give up.
   */
  | {
      kind: "failed";
      why: "missing" | "link_dead" | "changed" | "upload_gone" | "exists" | "later" | "never";
      detail: string;
      retryAfterSeconds?: number;
    };

/** What the Tracker answers to the Workers of this deployment only (never reachable from HTTP). */
export interface TrackerWork {
  beginBytes(effect: string): Promise<Begun<ByteWork>>;
  /** First start of a copy. Answers the upload that counts: if another invocation was first, abort your own and use theirs. */
  copyStarted(
    effect: string,
    upload: { uploadId: string; partBytes: number; totalBytes: number; sourceEtag?: string },
  ): Promise<{ go: boolean; upload: { uploadId: string; partBytes: number; totalBytes: number; sourceEtag?: string } }>;
  /** Records stored parts (also renews the effect's deadline). `go: false`: cancelled meanwhile, stop. */
  partsDone(effect: string, parts: PartDone[]): Promise<{ go: boolean }>;
  /** `attempt`: as `beginBytes` told. */
  finishBytes(effect: string, outcome: ByteOutcome, attempt: number): Promise<void>;
}
