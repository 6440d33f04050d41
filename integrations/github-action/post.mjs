/** After the step, also after one that was killed: a job that nobody waits for any more is cancelled. */
import { connect } from "./firewatch.mjs";
import { input, say, state, warn } from "./runner.mjs";

if (state("job") !== "" && state("ended") === "") {
  const firewatch = connect({
    url: input("url"),
    connection: input("connection"),
    audience: input("audience") || input("url"),
  });
  try {
    await firewatch.json("POST", `jobs/${state("job")}/cancel`);
    say(`Cancelled ${state("job")}: its step ended before it did.`);
  } catch (error) {
    warn(`${state("job")} may still be running: ${error instanceof Error ? error.message : String(error)}`);
  }
}
