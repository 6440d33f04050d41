import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MAX_OBJECT_BYTES, partBytesFor } from "../contract/cut.ts";
import { cutFunction, manifestName, manifestScript, parseManifest, splitScript } from "./manifest.ts";
import { composeScript, type ScriptRequest } from "./script.ts";

const TAG = "0123456789abc";
/** bash, and a POSIX sh that is not bash where there is one. */
const SHELLS = ["/bin/bash", existsSync("/bin/dash") ? "/bin/dash" : "/bin/sh"];

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "fw-script-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function compose(shell: string, body: string, more: Partial<ScriptRequest> = {}): string {
  const result = composeScript({ api: "v1", script: `#!${shell}\n#SBATCH -n 1\n${body}\n`, tag: TAG, ...more });
  if (!result.ok || result.script === undefined) throw new Error(JSON.stringify(result));
  return result.script;
}

function run(shell: string, script: string) {
  const file = join(folder, "job.sh");
  writeFileSync(file, script);
  return spawnSync(shell, [file], { cwd: folder, env: { PATH: process.env.PATH }, maxBuffer: 1 << 24 });
}

const CORPUS = [
  "",
  " ",
  "\n",
  "\n\n\n",
  "a\n",
  "\na",
  "x",
  "ax",
  "x\nx",
  "'",
  "''",
  '"',
  "`id`",
  "$(id)",
  "$HOME",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: shell text
  "${HOME}",
  "\\",
  "\\n",
  "a\\",
  "!!",
  "#SBATCH --partition=evil",
  "\n#SBATCH --array=1-1000\n",
  "#!/bin/sh",
  "-n",
  "-e",
  "--",
  "%s%d%",
  "*",
  "?[a]",
  "~",
  "a=b",
  "; rm -rf /",
  "&& false",
  "|| exit 1",
  "> /dev/null",
  "<(id)",
  "EOF",
  "\t\u000b\f\r",
  "\r\n",
  "\u0001\u0007\u001b[31m\u007f",
  "Zürich ☃ 😀 日本",
  "\u0301e\u200b\u202e\ufeff",
  "\uffff\u{10ffff}",
  "x".repeat(65_536),
  "\n".repeat(1_000),
  "'\"`$\\".repeat(500),
  "é".repeat(32_768),
];

function nastyValues(): string[] {
  const piece = fc.constantFrom(..."'\"`$\\(){}[]<>|&;#!*?~%= \n\t\rxAé☃😀\u0001", "#SBATCH", "$(", "EOF", "\\\n");
  const glued = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""));
  const unicode = fc
    .string({ unit: "binary", maxLength: 60 })
    .filter((text) => !text.includes("\u0000") && text.isWellFormed());
  return [...CORPUS, ...fc.sample(glued, { numRuns: 800, seed: 1 }), ...fc.sample(unicode, { numRuns: 800, seed: 2 })];
}

/** As many values in one script as the limit for all of them allows. */
function batches(values: string[]): Record<string, string>[] {
  const all: Record<string, string>[] = [{}];
  let bytes = 0;
  for (const value of values) {
    const size = Buffer.byteLength(value);
    if (bytes + size > 90_000 || Object.keys(all.at(-1) ?? {}).length >= 200) {
      all.push({});
      bytes = 0;
    }
    const batch = all.at(-1) ?? {};
    batch[`V${Object.keys(batch).length}`] = value;
    bytes += size;
  }
  return all;
}

describe.each(SHELLS)("in %s", (shell) => {
  it("more than 1,500 nasty values arrive byte for byte, as variables and in the environment", () => {
    const values = nastyValues();
    expect(values.length).toBeGreaterThan(1_500);
    for (const env of batches(values)) {
      const names = Object.keys(env);
      const result = run(
        shell,
        compose(shell, `printf '%s\\0' ${names.map((n) => `"$${n}"`).join(" ")}\nexec env -0`, { env }),
      );
      expect(result.status).toBe(0);
      const fields = result.stdout.toString("utf8").split("\u0000");
      expect(fields.slice(0, names.length)).toEqual(Object.values(env));
      const environment = new Map(
        fields.slice(names.length).map((field) => [field.slice(0, field.indexOf("=")), field]),
      );
      for (const name of names) expect(environment.get(name)).toBe(`${name}=${env[name]}`);
    }
  }, 120_000);

  it("a value that cannot be decoded ends the job with 78", () => {
    const script = compose(shell, "echo reached", { env: { A: "value" } }).replace("base64 -d", "false");
    const result = run(shell, script);
    expect([result.status, result.stdout.toString()]).toEqual([78, ""]);
  });

  it.each([
    ["true", 0],
    ["exit 3", 3],
    ["set -e\nfalse\necho never", 1],
    ["set -u\necho $NOT_SET", shell.endsWith("bash") ? 1 : 2],
    ["kill -TERM $$", 143],
    ["kill -INT $$", 130],
    ["kill -HUP $$", 129],
    ["(exit 9)", 9],
    ["set -eufC\nIFS=x\ncd /\nexit 5", 5],
  ])("the exit trap keeps the status of %j", (body, status) => {
    rmSync(join(folder, manifestName(TAG)), { force: true });
    writeFileSync(join(folder, "out"), "hello");
    const result = run(shell, compose(shell, body, { manifest: { paths: ["out"] } }));
    expect(result.status).toBe(status);
    expect(parseManifest(readFileSync(join(folder, manifestName(TAG)), "utf8"), TAG)?.files).toHaveLength(1);
  });

  it("a manifest that cannot be made changes no exit status, under set -e neither", () => {
    const manifest = { paths: ["out"] };
    expect(run(shell, compose(shell, "set -eu\nPATH=/nonexistent\nexit 5", { manifest })).status).toBe(5);
  });

  it("the script's own trap, or an exec, takes ours away and nothing breaks", () => {
    rmSync(join(folder, manifestName(TAG)), { force: true });
    const manifest = { paths: ["out"] };
    expect(run(shell, compose(shell, "trap 'exit 4' EXIT", { manifest })).status).toBe(4);
    expect(run(shell, compose(shell, "exec sh -c 'exit 6'", { manifest })).status).toBe(6);
    expect(existsSync(join(folder, manifestName(TAG)))).toBe(false);
  });
});

describe("the manifest", () => {
  const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

  const MIB = 1024 * 1024;
  const manifestOf = (paths: string[]) => {
    expect(run("/bin/sh", manifestScript({ tag: TAG, paths })).status).toBe(0);
    return parseManifest(readFileSync(join(folder, manifestName(TAG)), "utf8"), TAG);
  };

  it("holds size, mtime and the hashes of each part and the whole, for plain and awkward names", () => {
    const big = Buffer.alloc(70 * MIB + 1, "0123456789");
    const files = { "out.bin": big, "it's $(a) name\n": Buffer.from("x"), empty: Buffer.alloc(0) };
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    const manifest = manifestOf([join(folder, "out.bin"), "it's $(a) name\n", "empty", "absent", "."]);
    expect(manifest?.files.map((f) => [f.path, f.size, f.sha256])).toEqual([
      [join(folder, "out.bin"), big.length, sha256(big)],
      ["it's $(a) name\n", 1, sha256(Buffer.from("x"))],
      ["empty", 0, sha256(Buffer.alloc(0))],
    ]);
    expect(manifest?.files[0]?.parts).toEqual(
      [0, 32, 64].map((start) => sha256(big.subarray(start * MIB, (start + 32) * MIB))),
    );
    expect(manifest?.files[0]?.mtime).toBe(Math.floor(statSync(join(folder, "out.bin")).mtimeMs / 1_000));
    expect(existsSync(join(folder, `${manifestName(TAG)}.tmp.parts`))).toBe(false);
  });

  it("cuts files of every size as the copy cuts them", () => {
    const sizes = [
      ...[0, 1, 32 * MIB, 4096 * MIB - 1, 4096 * MIB, 4096 * MIB + 1, 5e9, 640_000 * MIB, 640_000 * MIB + 1],
      ...[MAX_OBJECT_BYTES, MAX_OBJECT_BYTES - 1, 2 ** 42 + 12_345],
      ...fc.sample(fc.integer({ min: 0, max: MAX_OBJECT_BYTES }), 50),
    ];
    for (const shell of SHELLS) {
      const script = [...cutFunction(), ...sizes.map((size) => `_fw_cut ${size}; echo "$_fw_part"`)].join("\n");
      const printed = run(shell, `${script}\n`).stdout.toString().trim().split("\n").map(Number);
      expect(printed).toEqual(sizes.map(partBytesFor));
    }
  });

  it("lists what the shell finds for a pattern, which is never read as anything else", () => {
    for (const directory of ["runs", "runs/1", "runs/2 b"]) mkdirSync(join(folder, directory), { recursive: true });
    for (const name of ["1/a.nc", "2 b/$(touch pwned).nc", "2 b/b.txt", "1/.c.nc"])
      writeFileSync(join(folder, "runs", name), name);
    mkdirSync(join(folder, "runs/1/d.nc"), { recursive: true });
    const listed = manifestOf(["runs/*/*.nc", "none-*", "runs/[!1]*/?.txt", "$(touch pwned)*"])?.files;
    expect(listed?.map(({ path }) => path)).toEqual(["runs/1/a.nc", "runs/2 b/$(touch pwned).nc", "runs/2 b/b.txt"]);
    expect(existsSync(join(folder, "pwned"))).toBe(false);
  });

  it("comes with the pieces of a file that is cut, or with an error where it cannot be", () => {
    const big = Buffer.alloc(MIB + 3, "0123456789");
    const from = join(folder, "it's big");
    writeFileSync(from, big);
    const directory = join(folder, ".fw-x.pieces");
    for (const shell of SHELLS) {
      rmSync(directory, { recursive: true, force: true });
      const script = splitScript({ tag: TAG, path: from, directory, pieceBytes: MIB / 2 });
      expect(run(shell, script).status).toBe(0);
      const pieces = ["0000", "0001", "0002"].map((name) => readFileSync(join(directory, name)));
      expect(Buffer.concat(pieces).equals(big)).toBe(true);
      expect(pieces.map(({ length }) => length)).toEqual([MIB / 2, MIB / 2, 3]);
      const text = readFileSync(join(folder, manifestName(TAG)), "utf8");
      expect(parseManifest(text, TAG)?.files.map(({ path, sha256: hash }) => [path, hash])).toEqual([
        [from, sha256(big)],
      ]);
      const nowhere = splitScript({ tag: TAG, path: `${from}-not`, directory, pieceBytes: MIB });
      expect(run(shell, nowhere).status).not.toBe(0);
    }
  });

  it("is refused when it is incomplete, another job's, or nonsense", () => {
    const whole = `firewatch-manifest 1 ${TAG}\nfile YQ== 3 100 33554432 ${"a".repeat(64)}\npart ${"b".repeat(64)}\nend\n`;
    expect(parseManifest(whole, TAG)?.files).toHaveLength(1);
    expect(parseManifest(whole, "another000000")).toBeUndefined();
    expect(parseManifest(whole.replace("end\n", ""), TAG)).toBeUndefined();
    expect(parseManifest(whole.replace("end\n", "end"), TAG)).toBeUndefined();
    expect(parseManifest(whole.replace("file", "rile"), TAG)).toBeUndefined();
    expect(parseManifest("", TAG)).toBeUndefined();
    expect(parseManifest(whole.replace(/part.*\n/, ""), TAG)?.files).toEqual([]);
    // Cut otherwise than the copy: its parts say nothing.
    expect(parseManifest(whole.replace("33554432", "8388608"), TAG)?.files).toEqual([]);
  });
});

const curl = spawnSync("curl", ["--version"]).status === 0;

describe.runIf(curl)("the ping", () => {
  it("is one POST at the start and one at the end, whose address never stands in a command line", async () => {
    const seen: string[] = [];
    const { promise: both, resolve: bothSeen } = Promise.withResolvers<void>();
    const server = createServer((request, response) => {
      if (seen.push(`${request.method} ${request.url}`) === 2) bothSeen();
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const script = compose("/bin/bash", "exit 7", { ping: `http://127.0.0.1:${port}/pings/abc?t=1` });
    const file = join(folder, "ping.sh");
    writeFileSync(file, script);
    const status = await new Promise<number>((resolve) => {
      import("node:child_process").then(({ execFile }) =>
        execFile("/bin/bash", [file], { cwd: folder }).on("exit", (code) => resolve(code ?? -1)),
      );
    });
    await both;
    server.close();
    expect(status).toBe(7);
    expect(seen).toEqual(["POST /pings/abc?t=1", "POST /pings/abc?t=1"]);
    expect(script).not.toMatch(/(curl|wget) [^\n]*pings/);
  });

  it("costs only speed when nobody answers", () => {
    const script = compose("/bin/bash", "exit 7", { ping: "http://127.0.0.1:1/x" });
    expect(() => execFileSync("/bin/bash", ["-c", script], { cwd: folder, stdio: "pipe" })).toThrow(
      expect.objectContaining({ status: 7 }),
    );
  });
});
