/** Refuses what FirecREST would paste into a shell command, before anything leaves. */
import { createGuard } from "../guard.ts";

const guard = createGuard("v2");

export const safePath = guard.path;
export const safeFileName = guard.fileName;
export const safeMode = guard.mode;

/** Absent means: leave as it is; the server wants an empty text for that, not null. */
export const safeOwner = (owner: string | undefined): string => (owner === undefined ? "" : guard.owner(owner));
