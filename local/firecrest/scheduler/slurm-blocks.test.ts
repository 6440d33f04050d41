import { describe, expect, it } from "vitest";
import { readJobs, readNodes, readPartitions, readReservations } from "./slurm-blocks.ts";

describe("what scontrol prints", () => {
  const job = (id: string, name: string, state: string) => `JobId=${id} JobName=${name}
   UserId=fw-alice(1001) GroupId=users(100) MCS_label=N/A
   Priority=4294901759 Nice=0 Account=users QOS=normal
   JobState=${state} Reason=None Dependency=(null)
   Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 ExitCode=0:9
   RunTime=00:00:07 TimeLimit=UNLIMITED TimeMin=N/A
   SubmitTime=1795363628 EligibleTime=1795363628
   StartTime=1795363629 EndTime=1795363636 Deadline=N/A
   Partition=normal AllocNode:Sid=localhost:11775
   NodeList=nid000001
   NumNodes=1 NumCPUs=2 NumTasks=1 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
   Command=/scratch/my dir/x.sh
   WorkDir=/scratch/my dir
   StdErr=/scratch/my dir/slurm-${id}.out
   StdIn=/dev/null
   StdOut=/scratch/my dir/slurm-${id}.out
   Power=
   `;

  it("gives paths and names with spaces in them", () => {
    const [ended, running] = readJobs(`${job("7", "my job", "FAILED")}\n\n${job("8", "x", "RUNNING")}\n`);
    expect(ended).toMatchObject({
      jobId: "7",
      name: "my job",
      state: "FAILED",
      signal: 9,
      restarts: 2,
      cpus: 2,
      command: "/scratch/my dir/x.sh",
      workingDirectory: "/scratch/my dir",
      standardOutput: "/scratch/my dir/slurm-7.out",
      endedAt: 1795363636_000,
    });
    expect(ended).not.toHaveProperty("timeLimitSeconds");
    // Of a live job this is when its limit will strike.
    expect(running).not.toHaveProperty("endedAt");
  });

  it("names elements of arrays as squeue does", () => {
    const element = job("6 ArrayJobId=3 ArrayTaskId=1", "arr", "RUNNING");
    const rest = job("3 ArrayJobId=3 ArrayTaskId=2-3%1 ArrayTaskThrottle=1", "arr", "PENDING");
    expect(readJobs(`${element}\n\n${rest}`).map(({ jobId, plainId }) => [jobId, plainId])).toEqual([
      ["3_1", "6"],
      ["3_[2-3%1]", "3"],
    ]);
  });

  it("describes nodes and partitions", () => {
    const node =
      "NodeName=nid000001 Arch=x86_64 CoresPerSocket=1 \n   CPUAlloc=2 CPUEfctv=4 CPUTot=4 CPULoad=3.62\n   ActiveFeatures=cpu\n   RealMemory=24105 AllocMem=0 FreeMem=20749 Sockets=4 Boards=1\n   State=MIXED+DRAIN ThreadsPerCore=1 TmpDisk=0\n   Partitions=normal,debug \n\n";
    expect(readNodes(node)).toEqual([
      {
        name: "nid000001",
        sockets: 4,
        cores: 1,
        threads: 1,
        cpus: 4,
        cpusAllocated: 2,
        cpuLoad: 3.62,
        memoryMiB: 24105,
        freeMemoryMiB: 20749,
        features: ["cpu"],
        partitions: ["normal", "debug"],
        state: ["MIXED", "DRAIN"],
      },
    ]);
    const partition =
      "PartitionName=normal\n   AllocNodes=ALL Default=YES QoS=N/A\n   DefaultTime=1-00:00:00 Hidden=NO\n   State=UP TotalCPUs=4 TotalNodes=1\n";
    expect(readPartitions(partition)).toEqual([
      { name: "normal", state: "UP", cpus: 4, nodes: 1, isDefault: true, hidden: false },
    ]);
    const reservation =
      "ReservationName=root_1 StartTime=1795363819 EndTime=1795364119 Duration=00:05:00\n   Nodes=nid000001 NodeCnt=1 CoreCnt=4 Features=(null)\n   Users=root Accounts=(null) State=ACTIVE\n";
    expect(readReservations(reservation)).toEqual([
      {
        name: "root_1",
        state: "ACTIVE",
        nodes: "nid000001",
        startsAt: 1795363819_000,
        endsAt: 1795364119_000,
        features: [],
      },
    ]);
    expect(readReservations("No reservations in the system\n")).toEqual([]);
    expect(readJobs("No jobs in the system\n")).toEqual([]);
  });
});
