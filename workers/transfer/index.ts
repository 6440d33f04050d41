/** The transfer Worker: the consumer of the queue `transfers`. It answers no HTTP. */
import { systemNow } from "../../shared/clock.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { consoleSink, createLog } from "../../shared/log.ts";
import { consume } from "./consume.ts";
import { type Env, trackerOf } from "./env.ts";
import { systemClock } from "./patience.ts";

export default {
  async queue(batch, env) {
    const log = createLog({ now: systemNow, sink: consoleSink, fixed: { worker: "transfer" } });
    const egress = egressFrom(env, log);
    for (const message of batch.messages) {
      await consume(message, {
        bucket: env.OBJECTS,
        egress,
        trackerOf: (connection) => trackerOf(env, connection),
        clock: systemClock,
        log,
      });
    }
  },
} satisfies ExportedHandler<Env>;
