/** What one file from the HPC side costs in operations, as a formula. `test/tracker/file-cost.test.ts` holds it against a count. */
import { partBytesFor, USUAL_PART_BYTES } from "../shared/contract/cut.ts";

export interface FileOperations {
  parts: number;
  /** Of R2: creating the upload, one for each part, completing it. */
  r2ClassA: number;
  /** Of R2: one look under the key before completing. */
  r2ClassB: number;
  /** Invocations of the transfer Worker: the segments of the copy, and the completion. */
  transferInvocations: number;
  /** Invocations of the poller Worker: staging, proof, release. On FirecREST v2 the last one removes the log files. */
  pollerInvocations: number;
}

/** `segments`: a copy hands over to the next invocation after 45 s; most files need one. */
export function operationsOfAFile(bytes: number, segments = 1): FileOperations {
  // An empty file is not staged: one look at it, one object made.
  if (bytes === 0) return { parts: 0, r2ClassA: 1, r2ClassB: 0, transferInvocations: 1, pollerInvocations: 1 };
  // Hashed by the site before it was staged, a file of one part is put, and R2 compares.
  if (bytes <= USUAL_PART_BYTES)
    return { parts: 1, r2ClassA: 1, r2ClassB: 0, transferInvocations: 1, pollerInvocations: 2 };
  const parts = Math.ceil(bytes / partBytesFor(bytes));
  return {
    parts,
    r2ClassA: parts + 2,
    r2ClassB: 1,
    transferInvocations: segments + 1,
    pollerInvocations: 3,
  };
}

export const FORMULA =
  "a file of P > 1 parts costs P + 2 operations of class A, 1 of class B, 3 invocations of the poller and 2 of the transfer Worker, one more for each further 45 s; P = ⌈bytes ÷ 32 MiB⌉, above 4 GiB ⌈bytes ÷ 64 MiB⌉; a file of one part costs 1 of class A, 2 invocations of the poller and 1 of the transfer Worker, an empty one 1 of each";
