/**
 * What our own lines in a script do, for the host that has no shell: they are read back from the script's text and carried out
 * on its files. That real shells do the same is shown in `shared/firecrest/*.test.ts` and in the journeys.
 */
import type { Seat } from "../../local/firecrest/host.ts";
import { toHex } from "../../shared/bytes.ts";
import { partBytesFor } from "../../shared/contract/cut.ts";
import { isGlob, segmentMatcher } from "../../shared/contract/glob.ts";
import { manifestName } from "../../shared/firecrest/manifest.ts";

const decoded = (base64: string) =>
  new TextDecoder().decode(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
const encoded = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

/** Files that a path of a manifest stands for. Patterns in the last segment only. */
async function filesFor(path: string, directory: string, { files }: Seat): Promise<string[]> {
  if (!isGlob(path)) return [path];
  const slash = path.lastIndexOf("/");
  const parent = slash === -1 ? "" : path.slice(0, slash + 1);
  const matches = segmentMatcher(path.slice(slash + 1));
  const entries = await files.list(absolute(parent, directory)).catch(() => []);
  return entries.filter(({ name }) => matches(name)).map(({ name }) => parent + name);
}

const absolute = (path: string, directory: string) => (path.startsWith("/") ? path : `${directory}/${path}`);

async function entry(path: string, directory: string, { files }: Seat): Promise<string> {
  const where = absolute(path, directory);
  const stat = await files.stat(where, { dereference: true }).catch(() => undefined);
  if (stat === undefined || (stat.mode & 0o170000) !== 0o100000) return "";
  const bytes = new Uint8Array(await new Response((await files.read(where)).body).arrayBuffer());
  const partBytes = partBytesFor(bytes.length);
  const lines = [`file ${encoded(path)} ${bytes.length} ${Math.floor(stat.mtime)} ${partBytes} ${await sha256(bytes)}`];
  for (let from = 0; from < bytes.length; from += partBytes)
    lines.push(`part ${await sha256(bytes.slice(from, from + partBytes))}`);
  return `${lines.join("\n")}\n`;
}

/** `split`, where the script has one. */
async function cut(script: string, { files }: Seat): Promise<void> {
  const given = (name: string) =>
    decoded(new RegExp(`^${name}="\\$\\(printf %s '([^']*)'`, "m").exec(script)?.[1] ?? "");
  const pieceBytes = Number(/^split -b (\d+) /m.exec(script)?.[1] ?? 0);
  if (pieceBytes === 0) return;
  const [from, to] = [given("_fw_from"), given("_fw_to")];
  await files.mkdir(to, { parents: true });
  const bytes = new Uint8Array(await new Response((await files.read(from)).body).arrayBuffer());
  for (let n = 0; n * pieceBytes < bytes.length; n++)
    await files.write(`${to}/${String(n).padStart(4, "0")}`, bytes.slice(n * pieceBytes, (n + 1) * pieceBytes));
}

export async function runOurLines(script: string, directory: string, seat: Seat): Promise<number | undefined> {
  const tag = /^ {2}echo "firewatch-manifest 1 (\w{13})"/m.exec(script)?.[1];
  if (tag === undefined) return undefined;
  let text = `firewatch-manifest 1 ${tag}\n`;
  for (const [, base64 = ""] of script.matchAll(/^ {2}_fw_path="\$\(printf %s '([^']*)'/gm))
    for (const path of await filesFor(decoded(base64), directory, seat)) text += await entry(path, directory, seat);
  await cut(script, seat);
  await seat.files.write(`${directory}/${manifestName(tag)}`, new TextEncoder().encode(`${text}end\n`));
  return undefined;
}
