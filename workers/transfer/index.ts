/** The transfer Worker: the consumer of the queue `transfers`. It answers no HTTP. */
import { systemNow } from "../../shared/clock.ts";
import { partBytesFor } from "../../shared/contract/cut.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { consoleSink, createLog } from "../../shared/log.ts";
import { type ConsumerDeps, consume } from "./consume.ts";
import { type Env, trackerOf } from "./env.ts";
import { systemClock } from "./patience.ts";
import { Turns } from "./turns.ts";

export default {
  async queue(batch, env) {
    const log = createLog({ now: systemNow, sink: consoleSink, fixed: { worker: "transfer" } });
    const egress = egressFrom(env, log);
    const deps: ConsumerDeps = {
      bucket: env.OBJECTS,
      egress,
      trackerOf: (connection) => trackerOf(env, connection),
      partBytesFor,
      clock: systemClock,
      turns: new Turns(),
      log,
    };
    await Promise.all(batch.messages.map((message) => consume(message, deps)));
  },
} satisfies ExportedHandler<Env>;
