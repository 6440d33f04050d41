/**
 * Forms of uploads: links into a site's staging area, sealed at rest, in pieces that a row can hold, and forgotten when
 * the upload ends. A transfer has at most one.
 */
import type { UploadForm } from "../../shared/firecrest/port.ts";
import type { Seal } from "../../shared/seal.ts";
import type { House } from "./house.ts";

/** A file of thousands of parts has as many links; one row holds about 2 MB. */
const PIECE_CHARS = 256 * 1024;

const binding = (house: House, transfer: string, n: number) => ({
  purpose: "upload_form",
  connection: house.name,
  id: `${transfer}/${n}`,
});

export function sealForm(house: House, seal: Seal, transfer: string, form: UploadForm): Promise<string[]> {
  const text = JSON.stringify(form);
  const pieces = Array.from({ length: Math.ceil(text.length / PIECE_CHARS) }, (_, n) =>
    text.slice(n * PIECE_CHARS, (n + 1) * PIECE_CHARS),
  );
  return Promise.all(pieces.map((piece, n) => seal.seal(piece, binding(house, transfer, n))));
}

/** Call inside `house.change`. */
export function saveForm(house: House, transfer: string, pieces: readonly string[]): void {
  forgetForm(house, transfer);
  for (const [n, sealed] of pieces.entries())
    house.run("INSERT INTO forms (transfer, n, sealed) VALUES (?, ?, ?)", transfer, n, sealed);
}

/** Still sealed; empty where there is no form. */
export const sealedForm = (house: House, transfer: string): string[] =>
  house
    .rows<{ sealed: string }>("SELECT sealed FROM forms WHERE transfer = ? ORDER BY n", transfer)
    .map(({ sealed }) => sealed);

export async function openForm(
  house: House,
  seal: Seal,
  transfer: string,
  pieces: readonly string[],
): Promise<UploadForm> {
  const texts = await Promise.all(pieces.map((piece, n) => seal.open(piece, binding(house, transfer, n))));
  return JSON.parse(texts.join("")) as UploadForm;
}

/** Call inside `house.change`. */
export function forgetForm(house: House, transfer: string): void {
  house.run("DELETE FROM forms WHERE transfer = ?", transfer);
}
