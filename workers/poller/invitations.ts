/**
 * Invitations: the operator lets somebody make a connection of a given name, and own it. An invitation counts while there is no
 * such connection and the Office has it among the open ones; it is used up by the connection that it makes.
 */
import { rfc3339 } from "../../shared/clock.ts";
import { INVITATION_PREFIX, type Invitation, type InvitationRequest } from "../../shared/contract/connection.ts";
import { z } from "../../shared/contract/words.ts";
import { type Seal, SealError } from "../../shared/seal.ts";

const HOUR_MS = 3_600_000;
const DEFAULT_HOURS = 72;

/** What is sealed. */
const Sealed = z.object({ id: z.string(), expiresAt: z.number() });
export type OpenedInvitation = z.infer<typeof Sealed>;

const bindingOf = (connection: string) => ({ purpose: "invitation", connection, id: "invitation" });

export async function seal(
  seals: Seal,
  id: string,
  { connection, hours = DEFAULT_HOURS }: InvitationRequest,
  now: number,
): Promise<Omit<Invitation, "url">> {
  const content: OpenedInvitation = { id, expiresAt: now + hours * HOUR_MS };
  const jwe = await seals.seal(JSON.stringify(content), bindingOf(connection));
  return {
    id: content.id,
    connection,
    invitation: INVITATION_PREFIX + jwe,
    expiresAt: rfc3339(content.expiresAt),
  };
}

/** Undefined for one that was not made here, for another connection, or too long ago. */
export async function open(
  seals: Seal,
  connection: string,
  invitation: string,
  now: number,
): Promise<OpenedInvitation | undefined> {
  if (!invitation.startsWith(INVITATION_PREFIX)) return undefined;
  try {
    const text = await seals.open(invitation.slice(INVITATION_PREFIX.length), bindingOf(connection));
    const content = Sealed.parse(JSON.parse(text));
    return content.expiresAt > now ? content : undefined;
  } catch (error) {
    if (error instanceof SealError) return undefined;
    throw error;
  }
}
