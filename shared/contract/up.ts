/** The way up: what the Tracker gives the transfer Worker to do for a file that goes to the HPC side. Carries links: never logged. */

/** One version of an R2 object, as it goes up to the HPC side. */
export interface UpSource {
  objectKey: string;
  /** Of that version, without quotes. */
  etag: string;
  bytes: number;
}

/** The way up: what the transfer Worker does with a file that goes to the HPC side. */
export type UpWork =
  /** Which file goes up: its size, its version and, up to `hashMaxBytes`, its SHA-256. */
  | { kind: "inspect"; transfer: string; objectKey: string; hashMaxBytes: number }
  /** A file from elsewhere becomes an object of our own first, so that everything after it can be repeated. */
  | {
      kind: "fetch";
      transfer: string;
      url: string;
      objectKey: string;
      maxBytes: number;
      hashMaxBytes: number;
      /** An upload to R2 that an earlier try left open. */
      staleUploadId?: string;
    }
  /** The whole file in one form; the form is a secret. */
  | {
      kind: "send_form";
      transfer: string;
      source: UpSource;
      form: { url: string; fields: Record<string, string> };
      fileName: string;
      storageOrigins: string[];
      /** Where the file can be read once it has arrived; set when an earlier try may have sent it. A secret. */
      arrivedUrl?: string;
    }
  /** The file in parts of a fixed size, each to its own link, and then the word that it is whole. All links are secrets. */
  | {
      kind: "send_parts";
      transfer: string;
      source: UpSource;
      partBytes: number;
      /** Links of parts that have not arrived, lowest first; not always all of them. */
      partUrls: { n: number; url: string }[];
      completeUrl: string;
      storageOrigins: string[];
      /** Parts that have arrived. */
      parts: { n: number; etag: string }[];
      /** An earlier try may already have said that the file is whole. */
      again: boolean;
      segmentMs: number;
    }
  /** Removes an object that was made for one upload only. */
  | { kind: "discard"; transfer: string; objectKey: string; uploadId?: string };
