/** Synchronous file operations, F1–F16: one command each on the site, at most five seconds. */
import { FirecrestError } from "../errors.ts";
import type { FileOps, Handle, TailOptions } from "../port.ts";
import type { Calls } from "./call.ts";
import { safeFileName, safeMode, safeOwner, safePath } from "./guard.ts";
import { OPERATIONS } from "./operations.ts";

/** `ops/view` reads twice what it is asked for, and the whole output must stay below 5 MiB. */
const VIEW_MAX_BYTES = 2_621_439;
/** `ops/download` comes as base64 through the same 5 MiB. */
const DOWNLOAD_MAX_BYTES = 3_932_157;

type StartFileJob = (
  system: string,
  op: "move" | "copy",
  from: string,
  to: string,
  account?: string,
) => Promise<Handle>;

export function createFiles(calls: Calls, startFileJob: StartFileJob): FileOps {
  const stat: FileOps["stat"] = async (system, path, options = {}) =>
    calls.call(OPERATIONS.F7_stat, {
      system,
      query: { path: safePath("stat", path), dereference: String(options.dereference ?? false) },
    });

  const sizeOf = async (system: string, path: string): Promise<number> =>
    (await stat(system, path, { dereference: true })).size;

  /** Above its ceiling the site answers only after the whole time limit, if at all: the size is known first. */
  const readWhole = async (system: string, path: string, size: number): Promise<Uint8Array<ArrayBuffer>> => {
    if (size > DOWNLOAD_MAX_BYTES) throw tooLarge(path, size);
    return calls.bytes(OPERATIONS.F13_download, { system, query: { path } });
  };

  return {
    stat,
    download: async (system, path) => readWhole(system, safePath("download", path), await sizeOf(system, path)),

    async ls(system, path, options = {}) {
      return calls.call(OPERATIONS.F1_ls, {
        system,
        query: {
          path: safePath("ls", path),
          showHidden: String(options.hidden ?? false),
          recursive: String(options.recursive ?? false),
        },
      });
    },

    async head(system, path, options = {}) {
      safePath("head", path);
      return isNothing(options) ? "" : calls.call(OPERATIONS.F2_head, { system, query: { path, ...cut(options) } });
    },

    async tail(system, path, options = {}) {
      safePath("tail", path);
      return isNothing(options) ? "" : calls.call(OPERATIONS.F3_tail, { system, query: { path, ...cut(options) } });
    },

    /** In one piece: the server counts offsets in characters, so pieces of anything but ASCII would not fit together. */
    async view(system, path) {
      safePath("view", path);
      const size = await sizeOf(system, path);
      if (size > VIEW_MAX_BYTES) return new TextDecoder().decode(await readWhole(system, path, size));
      return calls.call(OPERATIONS.F4_view, { system, query: { path, size: String(VIEW_MAX_BYTES) } });
    },

    async checksum(system, path) {
      try {
        return await calls.call(OPERATIONS.F5_checksum, { system, query: { path: safePath("checksum", path) } });
      } catch (error) {
        // The server trips over a space in the path, and shows what it could not read.
        const sum = error instanceof FirecrestError && /Invalid output: ([0-9a-f]{64})\s/.exec(error.message)?.[1];
        if (sum) return sum;
        throw error;
      }
    },

    /** A missing file is an answer here, not an error: "cannot open …". */
    async fileType(system, path) {
      return calls.call(OPERATIONS.F6_file, { system, query: { path: safePath("file_type", path) } });
    },

    async mkdir(system, path, options = {}) {
      const json = { path: safePath("mkdir", path), parent: options.parents ?? false };
      await calls.call(OPERATIONS.F9_mkdir, { system, json });
    },

    async symlink(system, target, link) {
      const json = { path: safePath("symlink", target), linkPath: safePath("symlink", link) };
      await calls.call(OPERATIONS.F10_symlink, { system, json });
    },

    async chmod(system, path, mode) {
      await calls.call(OPERATIONS.F11_chmod, { system, json: { path: safePath("chmod", path), mode: safeMode(mode) } });
    },

    async chown(system, path, owner, group) {
      const json = { path: safePath("chown", path), owner: safeOwner(owner), group: safeOwner(group) };
      await calls.call(OPERATIONS.F12_chown, { system, json });
    },

    async remove(system, path) {
      await calls.call(OPERATIONS.F8_rm, { system, query: { path: safePath("remove", path) } });
    },

    async upload(system, directory, fileName, content) {
      safePath("upload", directory);
      const form = new FormData();
      form.set("file", new Blob([content.slice()]), safeMultipartName(fileName));
      try {
        await calls.call(OPERATIONS.F14_upload, { system, query: { path: directory }, form });
      } catch (error) {
        // Without a byte to send, the remote side waits until its time is over; the empty file is there all the same.
        if (content.length > 0 || !(error instanceof FirecrestError) || error.code !== "command_timeout") throw error;
        const { size } = await stat(system, `${directory.replace(/\/+$/, "")}/${fileName}`);
        if (size !== 0) throw error;
      }
    },

    move: async (system, from, to, account) => ({
      done: false,
      handle: await startFileJob(system, "move", from, to, account),
    }),
    copy: async (system, from, to, account) => ({
      done: false,
      handle: await startFileJob(system, "copy", from, to, account),
    }),

    async compress(system, from, to, options = {}) {
      const json = {
        path: safePath("compress", from),
        targetPath: safePath("compress", to),
        dereference: options.dereference ?? false,
        compression: compressionOf(to),
      };
      await calls.call(OPERATIONS.F15_compress, { system, json });
    },

    async extract(system, from, to) {
      const json = {
        path: safePath("extract", from),
        targetPath: safePath("extract", to),
        compression: compressionOf(from),
      };
      await calls.call(OPERATIONS.F16_extract, { system, json });
    },
  };
}

/** By the archive's name, as tar's users do; gzip where it does not say. */
export function compressionOf(archive: string): "none" | "bzip2" | "gzip" | "xz" {
  if (/\.(tar\.bz2|tbz2?)$/.test(archive)) return "bzip2";
  if (/\.(tar\.xz|txz)$/.test(archive)) return "xz";
  return archive.endsWith(".tar") ? "none" : "gzip";
}

/** The server takes 0 for "ten lines". */
const isNothing = ({ lines, bytes }: TailOptions): boolean => lines === 0 || bytes === 0;

function cut({ lines, bytes }: TailOptions): Record<string, string | undefined> {
  return {
    lines: lines === undefined ? undefined : String(lines),
    bytes: bytes === undefined ? undefined : String(bytes),
  };
}

/** Multipart has no agreed escape for these, and the server takes the header's text as it is. */
function safeMultipartName(name: string): string {
  if (/["\\]/.test(name)) {
    throw new FirecrestError("the file name must not contain a double quote or a backslash", {
      code: "invalid_path",
      retry: "never",
    });
  }
  return safeFileName(name);
}

const tooLarge = (path: string, size: number): FirecrestError =>
  new FirecrestError(`${path} has ${size} bytes; at most ${DOWNLOAD_MAX_BYTES} can be read directly`, {
    code: "too_large",
    retry: "never",
  });
