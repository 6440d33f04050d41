/**
 * What every host must do, whatever it is made of. Scripts are written twice in one text: real commands for hosts with a
 * shell, `#FAKE` lines for the one without.
 */
import { filesContract } from "./files/files.contract.ts";
import type { Subject } from "./host.subject.ts";
import { jobsContract } from "./scheduler/jobs.contract.ts";

export function hostContract(name: string, start: () => Promise<Subject>): void {
  filesContract(name, start);
  jobsContract(name, start);
}
