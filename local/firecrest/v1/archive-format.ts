import type { ArchiveFormat } from "../host.ts";
import type { Quirks } from "../site.ts";
import type { Form } from "./input.ts";

const BY_SUFFIX: Record<string, ArchiveFormat> = {
  ".zip": "zip",
  ".tar": "none",
  ".tgz": "gzip",
  ".gz": "gzip",
  ".bz2": "bzip2",
};

/**
 * What kind of archive to extract: as `type` says, or by the file's name. The real server ignores `extension`, which is the
 * name that its documentation and pyfirecrest give the field.
 */
export function archiveFormat(path: string, form: Form, quirks: Quirks): ArchiveFormat | undefined {
  const wanted = form.text("type") ?? (quirks === "none" ? form.text("extension") : undefined) ?? "auto";
  if (wanted !== "auto") return BY_SUFFIX[wanted];
  return BY_SUFFIX[/\.[^.]*$/.exec(path)?.[0] ?? ""];
}
