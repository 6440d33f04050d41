/** What the daemons of the development cluster are told: pure text from a plan. */
import { join } from "node:path";

/** Everything that is decided before a cluster is brought up. Paths are absolute, ports are on loopback. */
export interface Plan {
  dir: string;
  /** Short name of this machine: Slurm insists on it for its controller. */
  hostName: string;
  /** The account that runs all daemons. */
  daemonUser: string;
  ports: { database: number; accounting: number; controller: number; node: number };
  databasePassword: string;
  cpus: number;
  memoryMiB: number;
  /** Jobs are held to their memory. */
  limitsMemory: boolean;
}

export const CLUSTER_NAME = "cluster";
export const NODE_NAME = "nid000001";
export const PARTITIONS = ["normal", "debug", "xfer"] as const;
const LOOPBACK = "127.0.0.1";
/** A requeued job waits as long as its credential lives (Slurm's default is two minutes). */
const CREDENTIAL_SECONDS = 10;

/** Where each thing of a cluster lies in its folder. */
export function placesOf(dir: string) {
  const at = (...parts: string[]) => join(dir, ...parts);
  return {
    /** Made first: without it a folder is not ours, and nothing in it is touched. */
    mark: at("firewatch-slurm"),
    config: at("etc", "slurm.conf"),
    accountingConfig: at("etc", "slurmdbd.conf"),
    cgroupConfig: at("etc", "cgroup.conf"),
    cgroups: at("cgroup"),
    logs: at("log"),
    pids: at("run"),
    mungeSocket: at("munge", "socket"),
    mungeKey: at("munge", "key"),
    mungeSeed: at("munge", "seed"),
    database: at("database"),
    databaseSocket: at("run", "database.socket"),
    databaseInit: at("etc", "database.sql"),
    controllerState: at("state"),
    nodeSpool: at("spool"),
    files: at("files"),
    record: at("cluster.json"),
  };
}

/**
 * The "password" of the accounting storage is the socket of its munge daemon.
 *
 * Processes are found through /proc, so that it works in containers; a cgroup is needed for nothing but memory limits.
 */
export function slurmConfig(plan: Plan): string {
  const places = placesOf(plan.dir);
  const { hostName, daemonUser, ports, cpus, memoryMiB, limitsMemory } = plan;
  return `ClusterName=${CLUSTER_NAME}
SlurmctldHost=${hostName}(${LOOPBACK})
SlurmctldPort=${ports.controller}
SlurmdPort=${ports.node}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=${daemonUser}
SlurmdUser=${daemonUser}
AuthType=auth/munge
AuthInfo=socket=${places.mungeSocket},cred_expire=${CREDENTIAL_SECONDS}

StateSaveLocation=${places.controllerState}
SlurmdSpoolDir=${places.nodeSpool}
SlurmctldPidFile=${join(places.pids, "slurmctld.own")}
SlurmdPidFile=${join(places.pids, "slurmd.own")}
MailProg=/bin/true
ReturnToService=2

ProctrackType=proctrack/linuxproc
TaskPlugin=task/${limitsMemory ? "cgroup" : "none"}
MpiDefault=none
PropagateResourceLimits=NONE
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1

SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=${Math.floor(memoryMiB / cpus)}
KillWait=3

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=${LOOPBACK}
AccountingStoragePort=${ports.accounting}
AccountingStoragePass=${places.mungeSocket}
AccountingStorageEnforce=associations

SlurmdParameters=config_overrides
NodeName=${NODE_NAME} NodeHostname=${hostName} NodeAddr=${LOOPBACK} CPUs=${cpus} RealMemory=${memoryMiB} Feature=cpu
${PARTITIONS.map((name, position) => `PartitionName=${name} Nodes=${NODE_NAME} Default=${position === 0 ? "YES" : "NO"} DefaultTime=1-00:00:00 MaxTime=INFINITE State=UP`).join("\n")}
`;
}

/** Slurm finds the memory controller in a folder that has nothing else. */
export function cgroupConfig(plan: Plan): string {
  return `CgroupPlugin=cgroup/v1
CgroupMountpoint=${placesOf(plan.dir).cgroups}
CgroupAutomount=no
ConstrainRAMSpace=yes
`;
}

export function accountingConfig(plan: Plan): string {
  const places = placesOf(plan.dir);
  return `DbdHost=localhost
DbdAddr=${LOOPBACK}
DbdPort=${plan.ports.accounting}
CommunicationParameters=NoInAddrAny
SlurmUser=${plan.daemonUser}
AuthType=auth/munge
AuthInfo=socket=${places.mungeSocket}
PidFile=${join(places.pids, "slurmdbd.own")}
StorageType=accounting_storage/mysql
StorageHost=${LOOPBACK}
StoragePort=${plan.ports.database}
StorageUser=slurm
StoragePass=${plan.databasePassword}
StorageLoc=slurm_acct
`;
}

/** Runs at every start of the database, before it takes connections. */
export function databaseSetUp(plan: Plan): string {
  return `CREATE DATABASE IF NOT EXISTS slurm_acct;
CREATE USER IF NOT EXISTS 'slurm'@'${LOOPBACK}' IDENTIFIED BY '${plan.databasePassword}';
GRANT ALL ON slurm_acct.* TO 'slurm'@'${LOOPBACK}';
`;
}
