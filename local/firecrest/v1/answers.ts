/** The answers of v1: bodies, error headers, and how a failed command becomes one of them. */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { NO_ROUTE } from "../access.ts";
import { ToolError } from "../host.ts";
import type { Bearer } from "../oidc.ts";
import type { Quirks } from "../site.ts";

export interface Env {
  Variables: { bearer: Bearer };
}
export type Ctx = Context<Env>;

const TIMEOUT_EXIT_CODE = 124;
const TIMEOUT_TEXT = "Command has finished with timeout signal";

/** JSON with the keys in order, as the services write it. */
export function json(
  c: Ctx,
  status: ContentfulStatusCode,
  body: object,
  headers: Record<string, string> = {},
): Response {
  const sorted = Object.fromEntries(Object.entries(body).sort(([left], [right]) => (left < right ? -1 : 1)));
  return c.json(sorted, status, headers);
}

export function refusal(c: Ctx, description: string, error?: string): Response {
  return json(c, 400, error === undefined ? { description } : { description, error });
}

/** What Flask says for a page that is not there, a wrong method or a crash. Behind the quirks switch it is HTML. */
export function plainError(c: Ctx, quirks: Quirks, status: 404 | 405 | 500): Response {
  const [title, text] = PLAIN[status];
  if (quirks === "none") return json(c, status, { description: title });
  const page = `<!doctype html>\n<html lang=en>\n<title>${status} ${title}</title>\n<h1>${title}</h1>\n<p>${text}</p>\n`;
  return c.html(page, status);
}

const PLAIN = {
  404: [
    "Not Found",
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.",
  ],
  405: ["Method Not Allowed", "The method is not allowed for the requested URL."],
  500: [
    "Internal Server Error",
    "The server encountered an internal error and was unable to complete your request. Either the server is overloaded or there is an error in the application.",
  ],
} as const;

interface Classified {
  status: 400 | 404;
  header: [string, string];
  error: string;
}

/** Rules in their order, the first one that matches decides. `text` is the stderr in one line. */
const RULES: { when(text: string, command: string): boolean; header: [string, string] }[] = [
  { when: (text) => text.includes("cannot access"), header: ["X-Invalid-Path", "path is an invalid path"] },
  {
    when: (text) => text.includes("No such file") && /cannot stat/.test(text),
    header: ["X-Not-Found", "sourcePath not found"],
  },
  {
    when: (text) => text.includes("No such file") && /cannot create|cannot move/.test(text),
    header: ["X-Invalid-Path", "sourcePath and/or targetPath are invalid paths"],
  },
  {
    when: (text) => text.includes("No such file") && text.includes("cannot remove"),
    header: ["X-Invalid-Path", "path is an invalid path."],
  },
  { when: (text) => text.includes("No such file"), header: ["X-Invalid-Path", "path is an invalid path"] },
  {
    when: (text) => /cannot open|Permission denied|not permitted|read permission/.test(text),
    header: ["X-Permission-Denied", "User does not have permissions to access path"],
  },
  {
    when: (text, command) => text.includes("File exists") && (command === "mkdir" || command === "symlink"),
    header: ["X-Exists", "targetPath already exists"],
  },
  { when: (text) => text.includes("Not a directory"), header: ["X-Not-A-Directory", "targetPath is not a directory"] },
  {
    when: (text) => text.includes("directory"),
    header: ["X-A-Directory", "path is a directory, can't checksum directories"],
  },
  { when: (text) => text.includes("invalid group"), header: ["X-Invalid-Group", "group is an invalid group"] },
  { when: (text) => text.includes("invalid user"), header: ["X-Invalid-Owner", "owner is an invalid user"] },
  { when: (text) => text.includes("invalid mode"), header: ["X-Invalid-Mode", "mode is an invalid mode"] },
];

function classify(error: ToolError, command: string): Classified {
  const text = oneLine(error.stderr);
  if (error.tool === "ssh" && error.exitCode === NO_ROUTE) {
    return {
      status: 400,
      header: ["X-Machine-Not-Available", "Machine is not available"],
      error: "Machine is not available",
    };
  }
  if (error.exitCode === TIMEOUT_EXIT_CODE)
    return { status: 400, header: ["X-Timeout", TIMEOUT_TEXT], error: TIMEOUT_TEXT };
  const rule = error.tool === "ssh" ? undefined : RULES.find(({ when }) => when(text, command));
  return { status: 400, header: rule?.header ?? ["X-Error", headerText(text)], error: text };
}

/** The answer of a utilities route whose command failed. */
export function commandFailure(c: Ctx, command: string, error: ToolError): Response {
  const { status, header, error: text } = classify(error, command);
  return json(c, status, { description: `Error on ${command} operation`, error: text }, { [header[0]]: header[1] });
}

/** Headers of the checks that jobs/path and xfer-external make before they start. */
export function checkHeader(path: string, error: ToolError): Record<string, string> {
  const text = oneLine(error.stderr);
  if (error.tool === "ssh" && error.exitCode === NO_ROUTE)
    return { "X-Machine-Not-Available": "Machine is not available" };
  if (error.tool === "ssh") return { "X-Error": headerText(text) };
  if (error.exitCode === TIMEOUT_EXIT_CODE) return { "X-Timeout": TIMEOUT_TEXT };
  if (text.includes("No such file")) return { "X-Invalid-Path": headerText(`${path} is an invalid path.`) };
  if (text.includes("Permission denied"))
    return { "X-Permission-Denied": "User does not have permissions to access machine or path" };
  if (text.includes("Is a directory")) return { "X-A-Directory": headerText(`${path} is a directory`) };
  if (text.includes("Not a directory")) return { "X-Not-A-Directory": headerText(`${path} is not a directory`) };
  return { "X-Error": headerText(text) };
}

/** FirecREST puts the lines of stderr together without a separator. */
export function oneLine(text: string): string {
  return text.replaceAll("\n", "");
}

/** Only what HTTP allows in a header. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

/** Runs work with a limit in the host's place; the work hears of it by the signal. Exceeding it is exit code 124. */
export async function withTimeLimit<T>(seconds: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new ToolError("timeout", TIMEOUT_EXIT_CODE, "");
      controller.abort(error);
      reject(error);
    }, seconds * 1000);
  });
  try {
    return await Promise.race([work(controller.signal), limit]);
  } finally {
    clearTimeout(timer);
  }
}
