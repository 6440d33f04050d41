/** An independent witness: every staged link that the embedded FirecREST hands out, so that it can be tried afterwards. */
import type { startFirecrest } from "./firecrest/server.ts";

export function witnessLinks({ site }: Pick<Awaited<ReturnType<typeof startFirecrest>>, "site">): string[] {
  const links: string[] = [];
  const { staging } = site;
  const presignGet = staging.presignGet.bind(staging);
  staging.presignGet = async (...args) => {
    const link = await presignGet(...args);
    links.push(link);
    return link;
  };
  return links;
}

/** Asks the object store itself. */
export async function isDead(link: string): Promise<boolean> {
  const { status } = await fetch(link, { headers: { range: "bytes=0-0" } });
  return status === 403 || status === 404 || status === 410;
}
