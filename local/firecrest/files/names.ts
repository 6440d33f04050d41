/** The user and group names of a host. */
import type { Identity, NamedId } from "../host.ts";

export interface Names {
  userName(uid: number): string;
  groupName(gid: number): string;
  user(name: string): NamedId | undefined;
  group(name: string): NamedId | undefined;
}

const ROOT: NamedId = { name: "root", id: 0 };

/** Names from a list of accounts, with root. Unknown ids are shown as numbers, as `ls` does. */
export function namesOf(identities: readonly Identity[]): Names {
  const users = [ROOT, ...identities.map(({ user }) => user)];
  const groups = [ROOT, ...identities.flatMap((identity) => [identity.group, ...identity.groups])];
  const byId = (list: NamedId[], id: number) => list.find((item) => item.id === id)?.name ?? String(id);
  const byName = (list: NamedId[], name: string) => list.find((item) => item.name === name);
  return {
    userName: (uid) => byId(users, uid),
    groupName: (gid) => byId(groups, gid),
    user: (name) => byName(users, name),
    group: (name) => byName(groups, name),
  };
}
