/** Who runs jobs: Unix accounts of their own where root brings the cluster up, else only the account that does. */
import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { findProgram } from "./packages.ts";

export interface ClusterUser {
  name: string;
  uid: number;
  group: { name: string; id: number };
  /** Made by us, so to be removed with the cluster. */
  isOurs: boolean;
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

export function removeUsers(users: readonly ClusterUser[]): void {
  for (const { name, isOurs } of users) if (isOurs && lookUp(name)?.remark === REMARK) run("userdel", [name]);
}

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
  const account = lookUp(name);
  if (account === undefined) throw new Error(`the account ${name} could not be made`);
  if (account.remark !== REMARK) throw new Error(`there is an account ${name} already, which is not this cluster's`);
  return { name, uid: account.uid, group: { name: groupName(name), id: account.gid }, isOurs: true };
}

function invoker(): ClusterUser {
  const { username: name, uid, gid } = userInfo();
  return { name, uid, group: { name: groupName(name), id: gid }, isOurs: false };
}

const groupName = (user: string): string => execFileSync("id", ["-gn", user], { encoding: "utf8" }).trim();

function lookUp(name: string): { uid: number; gid: number; remark: string } | undefined {
  try {
    const line = execFileSync("getent", ["passwd", name], { encoding: "utf8" });
    const [, , uid, gid, remark = ""] = line.split(":");
    return { uid: Number(uid), gid: Number(gid), remark };
  } catch {
    return undefined;
  }
}

function run(program: string, args: string[]): void {
  execFileSync(findProgram(program) ?? program, args, { stdio: ["ignore", 2, 2] });
}
