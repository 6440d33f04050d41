/**
 * The Tracker's tables, as numbered steps. A step is never edited once released: add the next one. A Tracker makes no table
 * until its connection is created, so an unknown name leaves nothing behind.
 */
const STEPS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE keys (id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE identities (name TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, doc TEXT NOT NULL);

  CREATE TABLE requests (
    actor TEXT NOT NULL, route TEXT NOT NULL, key TEXT NOT NULL, body_sha256 TEXT NOT NULL, answer TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (actor, route, key)
  ) WITHOUT ROWID;

  CREATE TABLE jobs (id TEXT PRIMARY KEY, system TEXT NOT NULL, status TEXT NOT NULL, live INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX jobs_live ON jobs (system, id) WHERE live = 1;

  CREATE TABLE transfers (id TEXT PRIMARY KEY, job_id TEXT, key TEXT NOT NULL, status TEXT NOT NULL, live INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX transfers_job ON transfers (job_id) WHERE job_id IS NOT NULL;
  CREATE UNIQUE INDEX transfers_target ON transfers (key) WHERE live = 1;
  CREATE TABLE parts (transfer TEXT NOT NULL, n INTEGER NOT NULL, etag TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT, PRIMARY KEY (transfer, n)) WITHOUT ROWID;
  CREATE TABLE debts (id TEXT PRIMARY KEY, transfer TEXT NOT NULL, open INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX debts_open ON debts (id) WHERE open = 1;
  CREATE INDEX debts_transfer ON debts (transfer);

  CREATE TABLE effects (id TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, sent_at INTEGER, deadline INTEGER, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX effects_subject ON effects (subject);
  CREATE TABLE agenda (kind TEXT NOT NULL, subject TEXT NOT NULL, due_at INTEGER NOT NULL, PRIMARY KEY (kind, subject)) WITHOUT ROWID;
  CREATE INDEX agenda_due ON agenda (due_at);

  CREATE TABLE events (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL, body TEXT);
  CREATE INDEX events_subject ON events (subject, sequence);
  CREATE TABLE receivers (id TEXT PRIMARY KEY, job_id TEXT, status TEXT NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX receivers_job ON receivers (job_id) WHERE job_id IS NOT NULL;
  CREATE TABLE deliveries (
    id TEXT PRIMARY KEY, receiver TEXT NOT NULL, sequence INTEGER NOT NULL, status TEXT NOT NULL, attempt INTEGER NOT NULL,
    next_at INTEGER NOT NULL, resume_at INTEGER, tries INTEGER NOT NULL, lease_until INTEGER NOT NULL, lapses INTEGER NOT NULL, created_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX deliveries_lane ON deliveries (receiver, next_at) WHERE status = 'pending';
  CREATE TABLE attempts (delivery TEXT NOT NULL, attempt INTEGER NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (delivery, attempt)) WITHOUT ROWID;

  CREATE TABLE hooks (name TEXT PRIMARY KEY, doc TEXT NOT NULL, secrets TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE inbound (id TEXT PRIMARY KEY, hook TEXT NOT NULL, message TEXT NOT NULL, body_sha256 TEXT NOT NULL, at INTEGER NOT NULL, doc TEXT NOT NULL, body TEXT) WITHOUT ROWID;
  CREATE UNIQUE INDEX inbound_message ON inbound (hook, message);
  CREATE TABLE dead (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL);
  `,
  // A lane knows itself when it is due; an event knows its system.
  `
  ALTER TABLE deliveries ADD COLUMN borrowed INTEGER NOT NULL DEFAULT 0;
  DROP INDEX deliveries_lane;
  CREATE INDEX deliveries_due ON deliveries (receiver, next_at, sequence) WHERE status = 'pending';
  CREATE INDEX deliveries_leased ON deliveries (receiver, lease_until) WHERE lease_until > 0;
  CREATE INDEX deliveries_open ON deliveries (receiver, status) WHERE status <> 'delivered';
  CREATE INDEX deliveries_event ON deliveries (sequence);

  ALTER TABLE receivers ADD COLUMN due_at INTEGER;
  CREATE INDEX receivers_due ON receivers (due_at) WHERE due_at IS NOT NULL;
  UPDATE receivers SET due_at = 0 WHERE status = 'active';
  DELETE FROM agenda WHERE kind = 'lane';
  INSERT INTO agenda (kind, subject, due_at) VALUES ('lane', '', 0);

  ALTER TABLE events ADD COLUMN system TEXT;
  UPDATE events SET system = json_extract(body, '$.data.system') WHERE body IS NOT NULL;
  `,
  // Share links, found by the hash of their token.
  `
  CREATE TABLE links (id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, expires_at INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
  `,
  // Rounds move their one entry all day long: it needs no index, and costs a row less without.
  `
  DROP INDEX agenda_due;
  CREATE INDEX agenda_due ON agenda (due_at) WHERE kind NOT IN ('round', 'handles', 'lane', 'retention', 'health');
  `,
  // What a hook was when it took a request, for comparing a replay with it.
  `
  CREATE TABLE hook_versions (hook TEXT NOT NULL, version INTEGER NOT NULL, doc TEXT NOT NULL, replaced_at INTEGER, PRIMARY KEY (hook, version)) WITHOUT ROWID;
  `,
  // People in chat.
  `
  CREATE TABLE chat_codes (hash TEXT PRIMARY KEY, expires_at INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE chat_links (id TEXT PRIMARY KEY, workspace TEXT NOT NULL, user TEXT NOT NULL, revoked INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE UNIQUE INDEX chat_links_person ON chat_links (workspace, user) WHERE revoked = 0;
  `,
  // Channels of theirs in which our bot shows jobs: one message for each, and where it is.
  `
  CREATE TABLE chat_channels (place TEXT PRIMARY KEY, receiver TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE chat_follows (receiver TEXT NOT NULL, job TEXT NOT NULL, PRIMARY KEY (receiver, job)) WITHOUT ROWID;
  CREATE TABLE chat_messages (
    receiver TEXT NOT NULL, topic TEXT NOT NULL, part TEXT NOT NULL, channel TEXT, message TEXT, tried_at INTEGER, at INTEGER NOT NULL,
    PRIMARY KEY (receiver, topic, part)
  ) WITHOUT ROWID;
  `,
  // Room that is kept for objects on their way; what is there is counted from now on.
  `
  CREATE TABLE reservations (id TEXT PRIMARY KEY, key TEXT NOT NULL, bytes INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
  INSERT OR IGNORE INTO agenda (kind, subject, due_at) VALUES ('objects', '', 0);
  `,
  // Links for uploads, sealed, in pieces.
  `
  CREATE TABLE forms (transfer TEXT NOT NULL, n INTEGER NOT NULL, sealed TEXT NOT NULL, PRIMARY KEY (transfer, n)) WITHOUT ROWID;
  `,
  // What is under way, and who hears everything: a few among all that ever was.
  `
  CREATE INDEX effects_sent ON effects (kind) WHERE state = 'sent';
  CREATE INDEX receivers_shared ON receivers (id) WHERE job_id IS NULL;
  `,
  // Effects that wait for the budget, see `line.ts`.
  `
  CREATE TABLE line (turn INTEGER NOT NULL, effect TEXT NOT NULL, PRIMARY KEY (turn, effect)) WITHOUT ROWID;
  `,
];

/** Whether this object belongs to a created connection. Reads the schema only: writes nothing. */
export function exists(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").toArray().length > 0;
}

/** Brings the tables to the newest step. Call inside a transaction. */
export function migrate(sql: SqlStorage): void {
  const done = exists(sql)
    ? Number(sql.exec("SELECT value FROM meta WHERE key = 'schema'").toArray()[0]?.value ?? 0)
    : 0;
  if (done === STEPS.length) return;
  for (const step of STEPS.slice(done)) sql.exec(step);
  sql.exec("INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?)", String(STEPS.length));
}
