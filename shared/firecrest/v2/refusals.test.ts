import { describe, expect, it } from "vitest";
import type { SiteAnswer } from "../transport.ts";
import { OPERATIONS, type Operation } from "./operations.ts";
import { refusal } from "./refusals.ts";

const { J1_submit, J2_list, J5_attach, F16_extract, T2_download, S1_systems } = OPERATIONS;

function answer(status: number, body: unknown, headers: Record<string, string> = {}): SiteAnswer {
  return { status, ok: false, body, bytes: new Uint8Array(), header: (name) => headers[name] };
}

const said = (message: string, causedBy: string[] | null = null) => ({
  errorType: "error",
  message,
  causedBy,
  data: null,
});

const meaning = (
  operation: Operation<never> | Operation,
  status: number,
  message: string,
  causedBy: string[] | null = null,
) => {
  const { code, retry } = refusal(operation, answer(status, said(message, causedBy)), 0);
  return `${code} ${retry}`;
};

describe("an error answer", () => {
  it("an id that is beyond what Slurm counts to concerns that job, not the site", () => {
    const cause = ["squeue: error: Invalid job id: 4294967000"];
    expect(meaning(J2_list, 500, "Error executing Slurm command.", cause)).toBe("scheduler_refused never");
  });

  it("C1: a refused SSH port is a 500 whose effect on a write is unknown, whatever the words", () => {
    expect(meaning(J1_submit, 500, "(111, 'Connection refused')")).toBe("system_unavailable after_check");
    expect(meaning(J2_list, 500, "[Errno 111] Connection refused")).toBe("system_unavailable later");
    expect(meaning(J2_list, 500, "Error executing Slurm command.")).toBe("system_unavailable later");
  });

  it("C1: of the two real 424s, only the one without a channel is known to have done nothing", () => {
    expect(meaning(J1_submit, 424, "Unable to establish SSH connection.")).toBe("system_unavailable after_check");
    expect(meaning(J1_submit, 424, "Unable to open a new SSH channel.")).toBe("system_unavailable later");
    expect(meaning(J2_list, 500, "Error executing Slurm command.", ["Unable to open a new SSH channel."])).toBe(
      "system_unavailable later",
    );
  });

  it("C3: 408 and a closed channel are one thing: a read may be repeated, a write only after a look", () => {
    for (const [status, text] of [
      [408, "Command execution timeout limit exceeded."],
      [408, "Remote process failed with exit status:124"],
      [408, "SSH connection timeout limit exceeded."],
      [500, "('Channel not open for sending',)"],
    ] as const) {
      expect(meaning(J1_submit, status, text), text).toBe("command_timeout after_check");
      expect(meaning(J2_list, status, text), text).toBe("command_timeout later");
    }
  });

  it("C13: sbatch's own refusals are final, but an unreachable controller is not, and a lost answer is neither", () => {
    const sbatch = (text: string) =>
      `Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: ${text}\n`;
    expect(meaning(J1_submit, 500, sbatch("Memory specification can not be satisfied"))).toBe(
      "scheduler_refused never",
    );
    expect(
      meaning(
        J1_submit,
        500,
        sbatch("Batch job submission failed: Unable to contact slurm controller (connect failure)"),
      ),
    ).toBe("system_unavailable later");
    expect(
      meaning(J1_submit, 500, sbatch("Batch job submission failed: Socket timed out on send/recv operation")),
    ).toBe("command_timeout after_check");
    expect(meaning(J1_submit, 500, "Unable to submit new job")).toBe("site_error after_check");
  });

  it("tells a full queue, which empties, from a policy that stays", () => {
    const text = "Job submission rejected: accounting/QOS policy limit exceeded. sbatch: error: ";
    expect(meaning(J1_submit, 403, `${text}QOSMaxSubmitJobPerUserLimit`)).toBe("scheduler_refused later");
    expect(meaning(J1_submit, 403, `${text}QOSMaxWallDurationPerJobLimit`)).toBe("scheduler_refused never");
  });

  it("C16: a broken accounting database or object store did nothing and may come back", () => {
    const sacct =
      "Unexpected Slurm command response. exit_status:1 std_err:sacct: error: slurm_persist_conn_open: failed";
    expect(meaning(J2_list, 500, "Error executing Slurm command.", [sacct])).toBe("system_unavailable later");
    expect(meaning(T2_download, 500, "('Could not connect to the endpoint URL: \"http://s3/u\"',)")).toBe(
      "system_unavailable later",
    );
  });

  it("C17: the empty 400 of the id middleware is a refusal of the request", () => {
    expect(refusal(S1_systems, answer(400, undefined), 0)).toMatchObject({ code: "invalid_request", retry: "never" });
  });

  it("C20: a missing permission wins over the missing file that it caused", () => {
    const text = "tar: d: Cannot mkdir: Permission denied\ntar: d/sub: Cannot mkdir: No such file or directory";
    expect(meaning(F16_extract, 404, `Remote process failed with exit status:2 and error message:${text}`)).toBe(
      "permission_denied never",
    );
  });

  it("C21: attaching to a job that is not there is the scheduler's refusal", () => {
    const srun = "srun: error: Unable to confirm allocation for job 9: Invalid job id specified";
    expect(meaning(J5_attach, 500, `Unexpected Slurm command response. exit_status:1 std_err:${srun}`)).toBe(
      "scheduler_refused never",
    );
  });

  it("C22: a health gate did nothing, and may outlive the outage", () => {
    const text = "The scheduler service for the requested system (daint) is unhealthy.";
    expect(meaning(J1_submit, 503, text)).toBe("system_unavailable later");
    expect(meaning(J1_submit, 503, "The requested filesystem (/home on daint) is unhealthy.")).toBe(
      "system_unavailable later",
    );
  });

  it("fact 4: an unhandled exception leaves a write's effect unknown", () => {
    expect(meaning(J1_submit, 500, "()")).toBe("site_error after_check");
    expect(meaning(J2_list, 500, "()")).toBe("site_error later");
  });

  it("fact 5: a wait that the site asks for is passed on", () => {
    const busy = answer(503, said("The ssh service for the requested system (x) is unhealthy."), {
      "retry-after": "30",
    });
    expect(refusal(J1_submit, busy, 0).retryAfterSeconds).toBe(30);
  });

  it("fact 10: a validation dump that echoes the script is not shown, its field messages are", () => {
    const error = refusal(
      J1_submit,
      answer(400, {
        errorType: "validation",
        message: "1 validation error: {'input': 'SECRET=hunter2'} file \"/app/src/router.py\"",
        data: { fields: [{ location: "body", name: "job", message: "Field required" }] },
      }),
      0,
    );
    expect(error.message).toBe("compute/jobs: job: Field required");
  });

  it("is shown without the server's wrapping, on one line, and without the signed part of a link", () => {
    const wrapped =
      "Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: no\nsbatch: error: never\n";
    expect(refusal(J1_submit, answer(500, said(wrapped)), 0).message).toBe(
      "compute/jobs: sbatch: error: no; sbatch: error: never",
    );
    const link = refusal(T2_download, answer(500, said("no https://s3/u/x?X-Amz-Signature=abc")), 0).message;
    expect(link).not.toContain("abc");
  });
});
