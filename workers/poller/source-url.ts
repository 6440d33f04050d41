/**
 * Addresses of files from elsewhere. Their query may hold a signature, so a whole address is sealed at rest like a staged link
 * and forgotten with the end of its upload; the row shows it without its query. A job keeps those of its inputs, sealed, for as
 * long as it can be submitted again.
 */
import type { JobRequest } from "../../shared/contract/job.ts";
import type { JobRecord } from "../../shared/domain/job.ts";
import { shownUrl, type TransferRecord } from "../../shared/domain/transfer.ts";
import type { Seal } from "../../shared/seal.ts";
import type { House } from "./house.ts";

const binding = (house: House, purpose: "source_url" | "input_urls", id: string) => ({
  purpose,
  connection: house.name,
  id,
});

/** The record of an upload as it may be stored. */
export async function withSealedUrl(house: House, seal: Seal, record: TransferRecord): Promise<TransferRecord> {
  const { id, url } = record;
  if (url === undefined || shownUrl(url) === url) return record;
  return { ...record, url: shownUrl(url), sealedUrl: await seal.seal(url, binding(house, "source_url", id)) };
}

/** The whole address, for whoever fetches the file. */
export const sourceUrl = async (
  house: House,
  seal: Seal,
  { id, sealedUrl }: Pick<TransferRecord, "id" | "sealedUrl">,
  shown: string,
): Promise<string> => (sealedUrl === undefined ? shown : seal.open(sealedUrl, binding(house, "source_url", id)));

/** Call inside `house.change`. */
export function forgetSourceUrl(house: House, transfer: string): void {
  house.run("UPDATE transfers SET doc = json_remove(doc, '$.sealedUrl') WHERE id = ?", transfer);
}

/** The request of a job as it may be stored. */
export async function withSealedInputs(
  house: House,
  seal: Seal,
  job: string,
  request: JobRequest,
): Promise<Pick<JobRecord, "sealedUrls"> & { request: JobRequest }> {
  const urls = (request.inputs ?? []).map(({ url }) => url ?? null);
  if (urls.every((url) => url === null || shownUrl(url) === url)) return { request };
  return {
    request: withUrls(request, urls, shownUrl),
    sealedUrls: await seal.seal(JSON.stringify(urls), binding(house, "input_urls", job)),
  };
}

/** The request as it came, to be submitted again. */
export async function withOpenInputs(
  house: House,
  seal: Seal,
  { id, sealedUrls }: Pick<JobRecord, "id" | "sealedUrls">,
  request: JobRequest,
): Promise<JobRequest> {
  if (sealedUrls === undefined) return request;
  const urls = JSON.parse(await seal.open(sealedUrls, binding(house, "input_urls", id))) as (string | null)[];
  return withUrls(request, urls, (url) => url);
}

function withUrls(request: JobRequest, urls: readonly (string | null)[], shape: (url: string) => string): JobRequest {
  const inputs = (request.inputs ?? []).map((input, n) => {
    const url = urls[n] ?? null;
    return url === null ? input : { ...input, url: shape(url) };
  });
  return { ...request, inputs };
}
