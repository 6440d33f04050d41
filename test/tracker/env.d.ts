/** The bindings of the pool in vitest.config.ts: the poller's own, and the transfer Worker's bucket. */
declare namespace Cloudflare {
  interface Env {
    TRACKER: DurableObjectNamespace;
    WORKSPACES: DurableObjectNamespace;
    OFFICE: DurableObjectNamespace;
    TOKENS: KVNamespace;
    INDEX: KVNamespace;
    OBJECTS: R2Bucket;
    CHAOS_SEED: string;
    CHAOS_JOBS: string;
    SOAK_SEED: string;
    SOAK_FILES: string;
  }
}
