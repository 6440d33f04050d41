/** `tar` and `unzip` for a user, with their words. */
import { type ArchiveFormat, type Compression, ToolError } from "../host.ts";
import { packTar, TarError, unpackTar } from "./tar.ts";
import { abortable, saying, type Workspace } from "./trees.ts";
import { basename, dirname, join, type Node, VolumeError } from "./volume.ts";
import { readZip, ZipError } from "./zip.ts";

/** Packs and unpacks streams; a host offers what it can. Throws `ToolError` for what it has no program for. */
export interface Codecs {
  compress(compression: Compression, plain: ReadableStream<Uint8Array>): ReadableStream<Uint8Array>;
  decompress(compression: Compression, packed: ReadableStream<Uint8Array>): ReadableStream<Uint8Array>;
}

/** What the web platform offers: gzip. */
export const webCodecs: Codecs = {
  compress: (compression, plain) =>
    compression === "none" ? plain : plain.pipeThrough(transform(new CompressionStream(requireGzip(compression)))),
  decompress: (compression, packed) =>
    compression === "none" ? packed : packed.pipeThrough(transform(new DecompressionStream(requireGzip(compression)))),
};

function transform(stream: CompressionStream | DecompressionStream): TransformStream<Uint8Array, Uint8Array> {
  return stream as unknown as TransformStream<Uint8Array, Uint8Array>;
}

function requireGzip(compression: Compression): "gzip" {
  if (compression === "gzip") return compression;
  throw new ToolError("tar", 2, fatal(`tar (child): ${compression}: Cannot exec: No such file or directory`));
}

function fatal(first: string): string {
  return `${first}\ntar (child): Error is not recoverable: exiting now\ntar: Child returned status 2\ntar: Error is not recoverable: exiting now`;
}

export interface CompressOptions {
  dereference: boolean;
  compression: Compression;
  matchPattern: string | undefined;
  signal: AbortSignal | undefined;
}

export async function compress(
  space: Workspace,
  codecs: Codecs,
  source: string,
  target: string,
  options: CompressOptions,
): Promise<void> {
  const { walker, volume, owner } = space;
  const name = basename(source);
  const found = await saying(
    "tar",
    2,
    (text) => `tar: ${name}: Cannot stat: ${text}\ntar: Exiting with failure status due to previous errors`,
    () => walker.find(source, { follow: options.dereference }),
  );
  const cannotOpen = (text: string) => fatal(`tar (child): ${target}: Cannot open: ${text}`);
  const place = await saying("tar", 2, cannotOpen, async () => {
    const located = await walker.locate(target, { follow: true });
    if (located.node?.kind === "d") throw new VolumeError("EISDIR");
    if (located.node === undefined) await walker.requireChangeable(dirname(located.path));
    else walker.requireRights(located.node, 2);
    return located;
  });
  const matches = options.matchPattern === undefined ? undefined : globExpression(options.matchPattern);
  const packed = codecs.compress(
    options.compression,
    packTar(members(space, found, matches === undefined ? name : ".", place.path, options, matches)),
  );
  await volume.write(place.path, abortable(packed, options.signal), { append: false, permissions: 0o644, owner });
}

async function* members(
  space: Workspace,
  { path, node }: { path: string; node: Node },
  name: string,
  archive: string,
  options: CompressOptions,
  matches: RegExp | undefined,
): AsyncGenerator<Parameters<typeof packTar>[0] extends AsyncIterable<infer E> ? E : never> {
  const { walker, volume } = space;
  options.signal?.throwIfAborted();
  // tar leaves out the archive that it is writing.
  if (path === archive || (node.kind !== "d" && node.kind !== "-" && node.kind !== "l")) return;
  const unreadable = (text: string) =>
    `tar: ${name}: Cannot open: ${text}\ntar: Exiting with failure status due to previous errors`;
  await saying("tar", 2, unreadable, async () =>
    walker.requireRights(node, node.kind === "d" ? 5 : node.kind === "-" ? 4 : 0),
  );
  if (matches === undefined || (node.kind !== "d" && matches.test(basename(path)))) {
    yield {
      name,
      kind: node.kind,
      permissions: node.permissions,
      mtime: node.mtime,
      size: node.kind === "-" ? node.size : 0,
      linkTarget: node.kind === "l" ? await volume.readlink(path) : "",
      open: () => volume.read(path, 0, node.size),
    };
  }
  if (node.kind !== "d") return;
  for (const child of (await volume.readdir(path)).sort()) {
    const found = await walker.find(join(path, child), { follow: options.dereference });
    yield* members(space, found, `${name}/${child}`, archive, options, matches);
  }
}

export async function extract(
  space: Workspace,
  codecs: Codecs,
  source: string,
  target: string,
  options: { format: ArchiveFormat; signal: AbortSignal | undefined },
): Promise<void> {
  const { walker } = space;
  const { format } = options;
  const [tool, exitCode] = format === "zip" ? (["unzip", 9] as const) : (["tar", 2] as const);
  const archive = await saying(
    tool,
    exitCode,
    (text) =>
      format === "zip"
        ? `unzip:  cannot find or open ${source}: ${text}`
        : fatal(`tar (child): ${source}: Cannot open: ${text}`),
    async () => {
      const found = await walker.find(source, { follow: true });
      if (found.node.kind === "d") throw new VolumeError("EISDIR");
      walker.requireRights(found.node, 4);
      return found;
    },
  );
  const directory = await saying(
    tool,
    exitCode,
    (text) => `tar: ${target}: Cannot open: ${text}\ntar: Error is not recoverable: exiting now`,
    async () => {
      const found = await walker.find(target, { follow: true });
      if (found.node.kind !== "d") throw new VolumeError("ENOTDIR");
      return found.path;
    },
  );
  if (format === "zip") await extractZip(space, archive, source, directory, options.signal);
  else await extractTar(space, codecs, archive, format, directory, options.signal);
}

async function extractTar(
  space: Workspace,
  codecs: Codecs,
  archive: { path: string; node: Node },
  compression: Compression,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const packed = abortable(space.volume.read(archive.path, 0, archive.node.size), signal);
  const problems: string[] = [];
  try {
    for await (const entry of unpackTar(codecs.decompress(compression, packed))) {
      const problem = await unpackOne(space, directory, entry, entry.content);
      if (problem !== undefined) problems.push(`tar: ${problem}`);
    }
  } catch (error) {
    if (signal?.aborted === true || error instanceof ToolError) throw error;
    if (error instanceof TarError) problems.push(`tar: ${error.message}`);
    else {
      const program =
        compression === "gzip"
          ? "gzip: stdin: not in gzip format"
          : `${compression}: (stdin): File format not recognized`;
      throw new ToolError(
        "tar",
        2,
        `${program}\ntar: Child returned status 1\ntar: Error is not recoverable: exiting now`,
      );
    }
  }
  if (problems.length > 0) {
    throw new ToolError("tar", 2, [...problems, "tar: Exiting with failure status due to previous errors"].join("\n"));
  }
}

async function extractZip(
  space: Workspace,
  archive: { path: string; node: Node },
  shown: string,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    for (const member of await readZip(archive.node.size, (start, end) =>
      space.volume.read(archive.path, start, end),
    )) {
      const entry = {
        name: member.name,
        kind: member.isDirectory ? ("d" as const) : ("-" as const),
        permissions: 0o644,
        mtime: archive.node.mtime,
        linkTarget: "",
      };
      const content = member.isDirectory ? new ReadableStream<Uint8Array>() : abortable(member.open(), signal);
      const problem = await unpackOne(space, directory, entry, content);
      if (problem !== undefined) throw new ToolError("unzip", 1, `error:  ${problem}`);
    }
  } catch (error) {
    if (error instanceof ZipError)
      throw new ToolError("unzip", 9, `  ${error.message}.\nunzip:  cannot find zipfile directory in ${shown}`);
    throw error;
  }
}

/** Puts one member below `directory`, never outside of the file systems. Returns what went wrong with it. */
async function unpackOne(
  space: Workspace,
  directory: string,
  entry: { name: string; kind: "-" | "d" | "l"; permissions: number; mtime: number; linkTarget: string },
  content: ReadableStream<Uint8Array>,
): Promise<string | undefined> {
  const { walker, volume, owner } = space;
  const parts = entry.name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) return `${entry.name}: Member name contains '..'`;
  if (parts.length === 0) return undefined;
  try {
    let parent = directory;
    for (const part of parts.slice(0, -1)) parent = await enter(space, join(parent, part));
    const path = join(parent, parts.at(-1) ?? "");
    if (entry.kind === "d") {
      await volume.chmod(await enter(space, path), (entry.permissions & 0o777) | 0o700);
      return undefined;
    }
    await walker.requireChangeable(parent);
    const { node } = await walker.locate(path, { follow: false });
    if (node !== undefined) await volume.unlink(path);
    if (entry.kind === "l") await volume.symlink(entry.linkTarget, path, owner);
    else {
      await volume.write(path, content, { append: false, permissions: entry.permissions & 0o777, owner });
      await volume.utimes(path, entry.mtime, entry.mtime);
    }
    return undefined;
  } catch (error) {
    if (error instanceof VolumeError)
      return `${entry.name}: Cannot ${entry.kind === "d" ? "mkdir" : "open"}: ${error.message}`;
    throw error;
  }
}

/** The canonical path of a directory, made if it is missing. */
async function enter({ walker, volume, owner }: Workspace, path: string): Promise<string> {
  const place = await walker.locate(path, { follow: true });
  if (place.node === undefined) {
    await walker.requireChangeable(dirname(place.path));
    await volume.mkdir(place.path, 0o755, owner);
  } else if (place.node.kind !== "d") throw new VolumeError("ENOTDIR");
  return place.path;
}

/** A shell pattern as `find -name` takes it: `*`, `?`, `[…]`. */
function globExpression(pattern: string): RegExp {
  const source = pattern.replace(/\*|\?|\[!?[^\]]+\]|[\s\S]/g, (part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.startsWith("[") && part.length > 1) return part.replace("[!", "[^").replaceAll("\\", "\\\\");
    return part.replace(/[.+^${}()|[\]\\/]/g, "\\$&");
  });
  return new RegExp(`^${source}$`, "s");
}
