/**
 * Who runs jobs: Unix accounts of their own where root brings the cluster up, else only the account that does. An account knows
 * whose it is: its home directory is in the folder of the cluster that it was made for.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { findProgram } from "./packages.ts";

export interface ClusterUser {
  name: string;
  uid: number;
  group: { name: string; id: number };
}

const OWN_USERS = ["fw-alice", "fw-bob"];
const GROUP = "users";
/** In the comment field: by this we know them again. */
const REMARK = "Firewatch development cluster";

export const isRoot = (): boolean => process.getuid?.() === 0;

/** Makes the accounts and their directories `<files>/{home,scratch}/<user>`. */
export async function makeUsers(files: string, who: "own users" | "invoker"): Promise<ClusterUser[]> {
  const users =
    who === "own users" ? OWN_USERS.map((name) => makeUnixUser(name, join(files, "home", name))) : [invoker()];
  for (const { name, uid, group } of users) {
    for (const [place, mode] of [
      ["home", 0o700],
      ["scratch", 0o755],
    ] as const) {
      const directory = join(files, place, name);
      await mkdir(directory, { recursive: true });
      await chmod(directory, mode);
      await chown(directory, uid, group.id);
    }
  }
  return users;
}

/** Accounts that were made for the cluster with these files, and for no other. */
export function usersMadeFor(files: string): { name: string; uid: number }[] {
  return OWN_USERS.flatMap((name) => {
    const account = lookUp(name);
    return account !== undefined && isMadeFor(files, name, account) ? [{ name, uid: account.uid }] : [];
  });
}

export function removeUsers(files: string): void {
  for (const { name } of usersMadeFor(files)) run("userdel", [name]);
}

export interface Account {
  uid: number;
  gid: number;
  remark: string;
  home: string;
}

export const isMadeFor = (files: string, name: string, { remark, home }: Pick<Account, "remark" | "home">): boolean =>
  remark === REMARK && home === join(files, "home", name);

function makeUnixUser(name: string, home: string): ClusterUser {
  if (lookUp(name) === undefined)
    run("useradd", [
      "--home-dir",
      home,
      "--no-create-home",
      "--no-user-group",
      "--gid",
      GROUP,
      "--shell",
      "/bin/bash",
      "--comment",
      REMARK,
      name,
    ]);
  const account = adopted(name, home);
  return { name, uid: account.uid, group: { name: groupName(name), id: account.gid } };
}

/** The account as it is for this cluster. Throws for one that is another's, or nobody knows whose. */
function adopted(name: string, home: string): Account {
  const account = lookUp(name);
  if (account === undefined) throw new Error(`the account ${name} could not be made`);
  if (account.remark !== REMARK) throw new Error(`there is an account ${name} already, which is not this cluster's`);
  if (account.home === home) return account;
  if (existsSync(account.home))
    throw new Error(
      `the account ${name} is that of another cluster, whose files are above ${account.home}. Take that one down first`,
    );
  // Its cluster's folder was removed by hand.
  run("usermod", ["--home", home, name]);
  return { ...account, home };
}

function invoker(): ClusterUser {
  const { username: name, uid, gid } = userInfo();
  return { name, uid, group: { name: groupName(name), id: gid } };
}

const groupName = (user: string): string => execFileSync("id", ["-gn", user], { encoding: "utf8" }).trim();

function lookUp(name: string): Account | undefined {
  try {
    const line = execFileSync("getent", ["passwd", name], { encoding: "utf8" });
    const [, , uid, gid, remark = "", home = ""] = line.split(":");
    return { uid: Number(uid), gid: Number(gid), remark, home };
  } catch {
    return undefined;
  }
}

function run(program: string, args: string[]): void {
  execFileSync(findProgram(program) ?? program, args, { stdio: ["ignore", 2, 2] });
}
