/** Refuses what FirecREST would paste into a shell command, before anything leaves. Throws `FirecrestError`. */
import { FirecrestError, type FirecrestErrorCode } from "./errors.ts";
import { checkFileName, checkMode, checkOwner, checkPath, type PathOperation } from "./paths.ts";
import type { Api } from "./port.ts";

export interface Guard {
  /** The path itself; throws `invalid_path`. */
  path(operation: PathOperation, path: string): string;
  /** A multipart file name, which servers do not confine to its directory; throws `invalid_path`. */
  fileName(name: string): string;
  mode(mode: string): string;
  owner(owner: string): string;
}

export function createGuard(api: Api): Guard {
  const pass = (what: string, value: string, problem: string | undefined, code: FirecrestErrorCode): string => {
    if (problem !== undefined) throw new FirecrestError(`${what} ${problem}`, { code, retry: "never" });
    return value;
  };
  return {
    path: (operation, path) => pass(`the path of ${operation}`, path, checkPath(api, operation, path), "invalid_path"),
    fileName: (name) => pass("the file name", name, checkFileName(api, name), "invalid_path"),
    mode: (mode) => pass("the mode", mode, checkMode(mode), "invalid_request"),
    owner: (owner) => pass("the owner or group", owner, checkOwner(owner), "invalid_request"),
  };
}
