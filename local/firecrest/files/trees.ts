/** Copying, moving and removing whole trees, with the words of cp, mv and rm. */
import { ToolError } from "../host.ts";
import { basename, dirname, join, type Node, type Owner, type Volume, VolumeError } from "./volume.ts";
import type { Walker } from "./walk.ts";

export interface Workspace {
  volume: Volume;
  walker: Walker;
  owner: Owner;
}

/** Runs `work` and turns a `VolumeError` into the tool's own line: `say(text)`. */
export async function saying<T>(
  tool: string,
  exitCode: number,
  say: (text: string) => string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof VolumeError) throw new ToolError(tool, exitCode, say(error.message));
    throw error;
  }
}

/** Where `cp` and `mv` put a source: inside of an existing directory, else at the name itself. */
async function destination(
  tool: "cp" | "mv",
  { walker }: Workspace,
  from: string,
  to: string,
  missing: (text: string) => string,
) {
  const place = await saying(
    tool,
    1,
    (text) => (text === "Permission denied" ? `${tool}: cannot stat '${to}': ${text}` : missing(text)),
    () => walker.locate(to, { follow: true }),
  );
  if (place.node?.kind !== "d") return { shown: to, ...place };
  const shown = join(to.replace(/\/+$/, "") || "/", basename(from));
  return { shown, ...(await walker.locate(join(place.path, basename(from)), { follow: false })) };
}

export async function moveTree(space: Workspace, from: string, to: string): Promise<void> {
  const { walker, volume } = space;
  const source = await saying(
    "mv",
    1,
    (text) => `mv: cannot stat '${from}': ${text}`,
    () => walker.find(from, { follow: false }),
  );
  const cannot = (text: string) => `mv: cannot move '${from}' to '${to}': ${text}`;
  const target = await destination("mv", space, from, to, cannot);
  if (target.path === source.path)
    throw new ToolError("mv", 1, `mv: '${from}' and '${target.shown}' are the same file`);
  if (target.path.startsWith(`${source.path}/`)) {
    throw new ToolError("mv", 1, `mv: cannot move '${from}' to a subdirectory of itself, '${target.shown}'`);
  }
  if (source.node.kind === "d" && target.node !== undefined && target.node.kind !== "d") {
    throw new ToolError("mv", 1, `mv: cannot overwrite non-directory '${target.shown}' with directory '${from}'`);
  }
  if (source.node.kind !== "d" && target.node?.kind === "d") {
    throw new ToolError("mv", 1, `mv: cannot overwrite directory '${target.shown}' with non-directory '${from}'`);
  }
  await saying("mv", 1, cannot, async () => {
    await walker.requireChangeable(dirname(source.path));
    await walker.requireChangeable(dirname(target.path));
    await volume.rename(source.path, target.path);
  });
}

export async function copyTree(
  space: Workspace,
  from: string,
  to: string,
  options: { dereference: boolean; signal: AbortSignal | undefined },
): Promise<void> {
  const source = await saying(
    "cp",
    1,
    (text) => `cp: cannot stat '${from}': ${text}`,
    () => space.walker.find(from, { follow: options.dereference }),
  );
  const what = source.node.kind === "d" ? "directory" : "regular file";
  const target = await destination("cp", space, from, to, (text) => `cp: cannot create ${what} '${to}': ${text}`);
  if (target.path === source.path)
    throw new ToolError("cp", 1, `cp: '${from}' and '${target.shown}' are the same file`);
  if (target.path.startsWith(`${source.path}/`)) {
    throw new ToolError("cp", 1, `cp: cannot copy a directory, '${from}', into itself, '${target.shown}'`);
  }
  if (source.node.kind === "d" && target.node !== undefined && target.node.kind !== "d") {
    throw new ToolError("cp", 1, `cp: cannot overwrite non-directory '${target.shown}' with directory '${from}'`);
  }
  await copyNode(space, source, { path: target.path, shown: target.shown }, from, options);
}

async function copyNode(
  space: Workspace,
  source: { path: string; node: Node },
  target: { path: string; shown: string },
  shownSource: string,
  options: { dereference: boolean; signal: AbortSignal | undefined },
): Promise<void> {
  const { volume, walker, owner } = space;
  options.signal?.throwIfAborted();
  if (source.node.kind === "d") {
    await saying(
      "cp",
      1,
      (text) => `cp: cannot create directory '${target.shown}': ${text}`,
      async () => {
        await walker.requireChangeable(dirname(target.path));
        await unlessExists(volume.mkdir(target.path, source.node.permissions | 0o700, owner));
      },
    );
    const names = await saying(
      "cp",
      1,
      (text) => `cp: cannot access '${shownSource}': ${text}`,
      async () => {
        walker.requireRights(source.node, 5);
        return await volume.readdir(source.path);
      },
    );
    for (const name of names) {
      const found = await walker.find(join(source.path, name), { follow: options.dereference });
      await copyNode(
        space,
        found,
        { path: join(target.path, name), shown: join(target.shown, name) },
        join(shownSource, name),
        options,
      );
    }
  } else if (source.node.kind === "l") {
    await saying(
      "cp",
      1,
      (text) => `cp: cannot create symbolic link '${target.shown}': ${text}`,
      async () => {
        await walker.requireChangeable(dirname(target.path));
        await unlessMissing(volume.unlink(target.path));
        await volume.symlink(await volume.readlink(source.path), target.path, owner);
      },
    );
    return;
  } else {
    await saying(
      "cp",
      1,
      (text) => `cp: cannot open '${shownSource}' for reading: ${text}`,
      async () => walker.requireRights(source.node, 4),
    );
    await saying(
      "cp",
      1,
      (text) => `cp: cannot create regular file '${target.shown}': ${text}`,
      async () => {
        await walker.requireChangeable(dirname(target.path));
        const body = volume.read(source.path, 0, source.node.size);
        await volume.write(target.path, abortable(body, options.signal), {
          append: false,
          permissions: source.node.permissions,
          owner,
        });
        await volume.chmod(target.path, source.node.permissions);
      },
    );
  }
  await volume.utimes(target.path, source.node.atime, source.node.mtime);
}

export async function removeTree(space: Workspace, path: string): Promise<void> {
  const say = (shown: string) => (text: string) => `rm: cannot remove '${shown}': ${text}`;
  const found = await saying("rm", 1, say(path), async () => {
    const place = await space.walker.find(path, { follow: false });
    await space.walker.requireChangeable(dirname(place.path));
    return place;
  });
  await removeNode(space, found, path, say);
}

async function removeNode(
  space: Workspace,
  { path, node }: { path: string; node: Node },
  shown: string,
  say: (shown: string) => (text: string) => string,
): Promise<void> {
  const { volume, walker } = space;
  if (node.kind !== "d") return await saying("rm", 1, say(shown), () => volume.unlink(path));
  const names = await saying("rm", 1, say(shown), () => volume.readdir(path));
  if (names.length > 0) await saying("rm", 1, say(shown), async () => walker.requireRights(node, 7));
  for (const name of names) {
    const child = join(path, name);
    await removeNode(space, { path: child, node: await volume.lstat(child) }, join(shown, name), say);
  }
  await saying("rm", 1, say(shown), () => volume.rmdir(path));
}

/** The stream, failing with the signal's reason as soon as the signal is given. */
export function abortable(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  if (signal === undefined) return body;
  return body.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        signal.throwIfAborted();
        controller.enqueue(chunk);
      },
    }),
  );
}

async function unlessExists(work: Promise<void>): Promise<void> {
  await ignoring("EEXIST", work);
}

async function unlessMissing(work: Promise<void>): Promise<void> {
  await ignoring("ENOENT", work);
}

async function ignoring(code: VolumeError["code"], work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof VolumeError && error.code === code)) throw error;
  }
}

/** `mkdir`, with its `-p`. */
export async function makeDirectory(
  { volume, walker, owner }: Workspace,
  path: string,
  parents: boolean,
): Promise<void> {
  const make = async (target: string) => {
    const place = await walker.locate(target, { follow: true });
    if (place.node !== undefined) {
      if (parents && place.node.kind === "d") return;
      throw new VolumeError("EEXIST");
    }
    await walker.requireChangeable(dirname(place.path));
    const made = volume.mkdir(place.path, 0o755, owner);
    // With `parents`, somebody else may be faster.
    await (parents ? unlessExists(made) : made);
  };
  const trimmed = path.replace(/(?<=.)\/+$/, "");
  await saying(
    "mkdir",
    1,
    (text) => `mkdir: cannot create directory '${path}': ${text}`,
    async () => {
      if (parents) for (const ancestor of ancestorsOf(trimmed)) if (!walker.isAbove(ancestor)) await make(ancestor);
      await make(trimmed);
    },
  );
}

/** `/a/b/c` → `/a`, `/a/b`. */
function ancestorsOf(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return parts.slice(0, -1).map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}
