/** Pages of docs/ as programs: what a reader would copy out of them. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./sources.ts";

/** The fenced blocks of a page in one language, in order, as they are after copying: without the indentation of a list. */
export async function blocksOf(page: string, language: string): Promise<string[]> {
  const text = await readFile(join(ROOT, page), "utf8");
  const fenced = new RegExp(`^( *)\`\`\`${language}\\n(.*?)^\\1\`\`\`$`, "gms");
  return [...text.matchAll(fenced)].map(([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  );
}

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. `started` gets the process, for those who want to disturb it. */
export function run(
  command: string,
  args: string[],
  options: { cwd: string; env?: Record<string, string>; input?: string },
  started: (child: ReturnType<typeof spawn>) => void = () => {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd, env: { ...process.env, ...options.env } });
    const ran: Ran = { code: null, stdout: "", stderr: "" };
    child.stdout.on("data", (chunk) => {
      ran.stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      ran.stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...ran, code }));
    // A program may end, or be ended, without having read what it was given.
    child.stdin.on("error", () => {});
    child.stdin.end(options.input ?? "");
    started(child);
  });
}
