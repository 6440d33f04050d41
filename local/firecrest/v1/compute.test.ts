import { describe, expect, it } from "vitest";
import { Client, HOME, SCRIPT } from "./testing/client.ts";

describe("a job", () => {
  it("is submitted with account and environment, found in the queue and in accounting, with its output", async () => {
    const client = await Client.start();
    const script = `${SCRIPT}#SBATCH -J name --output=out-%j\n#FAKE print hello $A\n#FAKE sleep 60\n#FAKE exit 3\n`;
    const { data } = await client.submit(script, { account: "acc", env: '{"A":"1"}' });
    const { jobid, job_file: file, job_file_out: output } = data as Record<string, string>;
    expect(file).toMatch(/^\/home\/alice\/firecrest\/[0-9a-f]{32}\/job\.sh$/);
    await client.site.host.advance(10_000);
    expect((await client.task("GET", "/compute/jobs")).data).toMatchObject({
      0: {
        jobid,
        name: "name",
        state: "RUNNING",
        start_time: "0:09",
        time_left: "29:51",
        job_data_out: "hello 1",
        job_file_out: output,
      },
    });
    await client.site.host.advance(60_000);
    expect((await client.task("GET", "/compute/jobs")).data).toEqual({});
    expect((await client.task("GET", `/compute/acct?jobs=${jobid}`)).data).toMatchObject([
      { jobid, state: "FAILED", exit_code: "3:0", elapsed_time: "00:01:00" },
    ]);
  });

  it("is queried alone, and never comes to an end with the real server's defect", async () => {
    const { data } = await (async (client: Client) => {
      const { jobid } = (await client.submit(`${SCRIPT}#FAKE sleep 60\n`)).data as Record<string, string>;
      return await client.task("GET", `/compute/jobs/${jobid}`);
    })(await Client.start());
    expect(data).toMatchObject({ 0: { state: "PENDING" } });
    const defective = await Client.start({ quirks: "1.16.6" });
    const { jobid } = (await defective.submit(`${SCRIPT}#FAKE sleep 60\n`)).data as Record<string, string>;
    expect((await defective.task("GET", `/compute/jobs/${jobid}`)).status).toBe("100");
  });

  it("is cancelled once, by its owner only", async () => {
    const alice = { clientId: "a", clientSecret: "a", user: "alice" };
    const bob = { clientId: "b", clientSecret: "b", user: "bob" };
    const client = await Client.start({ accounts: [alice, bob] });
    const { jobid } = (await client.submit(`${SCRIPT}#FAKE sleep 600\n`)).data as Record<string, string>;
    const stranger = { headers: { authorization: `Bearer ${await client.token(bob)}` } };
    const refused = (await client.send("DELETE", `/compute/jobs/${jobid}`, stranger)).body as { task_id: string };
    await expect
      .poll(async () => (await client.send("GET", `/tasks/${refused.task_id}`, stranger)).body)
      .toMatchObject({ task: { status: "400", data: "User does not have permission to cancel job" } });
    expect((await client.look(refused.task_id)) as unknown).toBeUndefined();
    expect(await client.task("DELETE", `/compute/jobs/${jobid}`)).toMatchObject({
      status: "200",
      data: `scancel: Terminating job ${jobid}`,
    });
    expect(await client.task("DELETE", `/compute/jobs/${jobid}`)).toMatchObject({ status: "400" });
    const { data } = await client.task("GET", `/compute/acct?jobs=${jobid}`);
    expect(data).toMatchObject([{ state: "CANCELLED by 1000", start_time: "None" }]);
  });

  it("by path starts in the directory of its script", async () => {
    const client = await Client.start();
    await client.write(`${HOME}/run.sh`, `${SCRIPT}#FAKE write made yes\n`);
    const task = await client.task("POST", "/compute/jobs/path", { form: { targetPath: `${HOME}/run.sh` } });
    expect(task.data).toMatchObject({ job_file: `${HOME}/run.sh`, job_file_out: `${HOME}/slurm-1.out` });
    await client.site.host.advance(5_000);
    expect(await client.read(`${HOME}/made`)).toBe("yes\n");
  });

  it("is refused with an environment that the real server cannot sign, and split where a value has a comma", async () => {
    const client = await Client.start();
    for (const value of ["it's", "a;b", "a\\b", "$(x)", "a|b", 'q"q', "a\nb", "`x`"]) {
      expect(await client.submit(SCRIPT, { env: JSON.stringify({ A: value }) })).toMatchObject({
        status: "400",
        data: "Invalid command",
      });
    }
    const { jobid } = (await client.submit(SCRIPT, { env: '{"A":"1,2","B":"x y"}' })).data as { jobid: string };
    await client.site.host.advance(2_000);
    expect(client.site.host.environmentOf(jobid)).toMatchObject({ A: "1", B: "x y" });
  });

  it("list pages count from zero and fail beyond the end", async () => {
    const client = await Client.start();
    for (let job = 0; job < 3; job++) await client.submit(`${SCRIPT}#FAKE sleep 60\n`);
    const page = async (query: string) => await client.task("GET", `/compute/jobs?${query}`);
    expect(Object.keys((await page("pageSize=2&pageNumber=1")).data as object)).toEqual(["0"]);
    expect(await page("pageSize=2&pageNumber=9")).toMatchObject({
      status: "400",
      data: "pageNumber (9) is greater than total pages (2)",
    });
  });
});
