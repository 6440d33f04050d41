/** The utilities: each is one command on the login node, under the site's time limit, its arguments in quotes. */
import { fieldsOf, text } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import type { FileOps, TailOptions } from "../port.ts";
import type { Site, V1Request } from "./call.ts";
import { decodeEntries, decodeStat } from "./wire.ts";

type Lines = "head" | "tail";

export function createFileOps({ call, guard }: Pick<Site, "call" | "guard">): FileOps {
  const read = async (system: string, name: string, query: Record<string, string | undefined>): Promise<unknown> => {
    const answer = await call({ method: "GET", path: `/utilities/${name}`, system, query, effect: false });
    return fieldsOf(answer.body).output;
  };
  const write = async (
    system: string,
    method: V1Request["method"],
    name: string,
    form: Record<string, string | undefined>,
  ): Promise<void> => {
    await call({ method, path: `/utilities/${name}`, system, form, effect: true, expect: "nothing" });
  };
  const unreadable = (name: string) =>
    new FirecrestError(`utilities/${name}: the site's answer cannot be read`, {
      code: "unreadable_answer",
      retry: "later",
    });

  async function download(system: string, path: string): Promise<Uint8Array> {
    const query = { sourcePath: guard.path("download", path) };
    const answer = await call({
      method: "GET",
      path: "/utilities/download",
      system,
      query,
      effect: false,
      expect: "bytes",
    });
    return answer.bytes;
  }

  /** Bytes that are no UTF-8, or a character cut in two, are refused by the server: then the file is fetched and cut here. */
  async function part(which: Lines, system: string, path: string, options: TailOptions = {}): Promise<string> {
    const size =
      options.bytes === undefined ? { lines: options.lines?.toString() } : { bytes: options.bytes.toString() };
    try {
      const output = await read(system, which, { targetPath: guard.path(which, path), ...size });
      if (typeof output !== "string") throw unreadable(which);
      return output;
    } catch (error) {
      const undecodable =
        error instanceof FirecrestError && error.code === "unreadable_answer" && error.retry === "never";
      if (!undecodable) throw error;
      return cut(which, await download(system, path), options);
    }
  }

  return {
    async ls(system, path, { hidden = false, recursive = false } = {}) {
      const flags = { showhidden: hidden ? "true" : undefined, recursive: recursive ? "true" : undefined };
      return decodeEntries(await read(system, "ls", { targetPath: guard.path("ls", path), ...flags }));
    },
    async stat(system, path, { dereference = false } = {}) {
      const query = { targetPath: guard.path("stat", path), dereference: dereference ? "true" : undefined };
      const stat = decodeStat(await read(system, "stat", query));
      if (stat === undefined) throw unreadable("stat");
      return stat;
    },
    head: async (system, path, options) => part("head", system, path, options),
    tail: async (system, path, options) => part("tail", system, path, options),
    // v1's `view` is the first ten lines.
    view: async (system, path) => new TextDecoder().decode(await download(system, path)),
    async checksum(system, path) {
      const sum = text(await read(system, "checksum", { targetPath: guard.path("checksum", path) }))?.toLowerCase();
      if (sum === undefined || !/^[0-9a-f]{64}$/.test(sum)) throw unreadable("checksum");
      return sum;
    },
    fileType: async (system, path) =>
      text(await read(system, "file", { targetPath: guard.path("file_type", path) })) ?? "",
    // `p` counts by being there at all, `p=false` too.
    mkdir: async (system, path, { parents = false } = {}) =>
      write(system, "POST", "mkdir", { targetPath: guard.path("mkdir", path), p: parents ? "true" : undefined }),
    symlink: async (system, target, link) =>
      write(system, "POST", "symlink", {
        targetPath: guard.path("symlink", target),
        linkPath: guard.path("symlink", link),
      }),
    chmod: async (system, path, mode) =>
      write(system, "PUT", "chmod", { targetPath: guard.path("chmod", path), mode: guard.mode(mode) }),
    chown: async (system, path, owner, group) =>
      write(system, "PUT", "chown", {
        targetPath: guard.path("chown", path),
        owner: owner === undefined ? undefined : guard.owner(owner),
        group: group === undefined ? undefined : guard.owner(group),
      }),
    remove: async (system, path) => write(system, "DELETE", "rm", { targetPath: guard.path("remove", path) }),
    download,
    async upload(system, directory, fileName, content) {
      await call({
        method: "POST",
        path: "/utilities/upload",
        system,
        form: { targetPath: guard.path("upload", directory) },
        file: { name: guard.fileName(fileName), content: new Uint8Array(content) },
        effect: true,
        expect: "nothing",
      });
    },
    async move(system, from, to) {
      await write(system, "PUT", "rename", {
        sourcePath: guard.path("move", from),
        targetPath: guard.path("move", to),
      });
      return { done: true };
    },
    async copy(system, from, to) {
      await write(system, "POST", "copy", { sourcePath: guard.path("copy", from), targetPath: guard.path("copy", to) });
      return { done: true };
    },
    compress: async (system, from, to, { dereference = false } = {}) =>
      write(system, "POST", "compress", {
        sourcePath: guard.path("compress", from),
        targetPath: guard.path("compress", to),
        dereference: dereference ? "true" : undefined,
      }),
    extract: async (system, from, to) =>
      write(system, "POST", "extract", {
        sourcePath: guard.path("extract", from),
        targetPath: guard.path("extract", to),
      }),
  };
}

/** The first or last lines (ten by default) or bytes of a file, bytes that are no UTF-8 replaced. */
function cut(which: Lines, bytes: Uint8Array, { lines = 10, bytes: size }: TailOptions): string {
  if (size !== undefined) {
    return new TextDecoder().decode(
      which === "head" ? bytes.subarray(0, size) : bytes.subarray(Math.max(0, bytes.length - size)),
    );
  }
  const all = new TextDecoder().decode(bytes).match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return (which === "head" ? all.slice(0, lines) : all.slice(-lines)).join("");
}
