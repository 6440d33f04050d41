/** What `file -b` says about a file, as far as a server for job scripts and results needs it. */
import type { Node } from "./volume.ts";

const PROBE_BYTES = 4096;

export async function describeFile(
  node: Node,
  linkTarget: string,
  read: (bytes: number) => Promise<Uint8Array>,
): Promise<string> {
  const prefix = [
    node.permissions & 0o4000 ? "setuid, " : "",
    node.permissions & 0o2000 ? "setgid, " : "",
    node.permissions & 0o1000 ? "sticky, " : "",
  ].join("");
  switch (node.kind) {
    case "d":
      return `${prefix}directory`;
    case "l":
      return `symbolic link to ${linkTarget}`;
    case "p":
      return `${prefix}fifo (named pipe)`;
    case "s":
      return `${prefix}socket`;
    case "c":
      return `${prefix}character special`;
    case "b":
      return `${prefix}block special`;
    case "-":
      return node.size === 0 ? `${prefix}empty` : prefix + describeContent(await read(PROBE_BYTES));
  }
}

const MAGIC: [RegExp, string][] = [
  [/^\x1f\x8b/, "gzip compressed data"],
  [/^BZh/, "bzip2 compressed data"],
  [/^\xfd7zXZ\0/, "XZ compressed data"],
  [/^PK\x03\x04/, "Zip archive data"],
  [/^\x7fELF/, "ELF"],
  [/^\x89PNG/, "PNG image data"],
  [/^%PDF/, "PDF document"],
  [/^\x89HDF/, "Hierarchical Data Format (version 5) data"],
  [/^CDF[\x01\x02]/, "NetCDF Data Format data"],
  [/^[\s\S]{257}ustar/, "POSIX tar archive (GNU)"],
];

const INTERPRETERS: [RegExp, string][] = [
  [/\bbash\b/, "Bourne-Again shell script"],
  [/\b(?:sh|dash)\b/, "POSIX shell script"],
  [/\bpython/, "Python script"],
  [/\bperl\b/, "Perl script"],
];

function describeContent(bytes: Uint8Array): string {
  const latin1 = String.fromCharCode(...bytes.subarray(0, 512));
  for (const [pattern, name] of MAGIC) if (pattern.test(latin1)) return name;
  const encoding = textEncoding(bytes);
  if (encoding === undefined) return "data";
  const shebang = /^#!.*/.exec(latin1)?.[0];
  const script = shebang === undefined ? undefined : INTERPRETERS.find(([pattern]) => pattern.test(shebang))?.[1];
  return script === undefined ? encoding : `${script}, ${encoding} executable`;
}

function textEncoding(bytes: Uint8Array): string | undefined {
  if (bytes.some((byte) => byte < 32 && ![7, 8, 9, 10, 12, 13, 27].includes(byte))) return undefined;
  if (bytes.every((byte) => byte < 127)) return "ASCII text";
  try {
    // A character that the probe cut in two is no error.
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes, { stream: true });
    return "Unicode text, UTF-8 text";
  } catch {
    return "ISO-8859 text";
  }
}
