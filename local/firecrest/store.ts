/**
 * Where a host and a site keep small records over a restart: a map of JSON values, written one by one. In memory here; on
 * disk in `disk-store.ts`.
 */
export interface Store {
  /** Everything below `prefix`, in the order of the keys. */
  entries<T>(prefix: string): { key: string; value: T }[];
  get<T>(key: string): T | undefined;
  /** Durable when it returns. The value is kept as it was (a later change of the object does not show). */
  set(key: string, value: unknown): void;
  delete(key: string): void;
}

export const memoryStore = (): Store => storeOver(new Map(), () => {});

/** A store over values as JSON text, by key. `changed` hears of every change; a value that is absent was deleted. */
export function storeOver(records: Map<string, string>, changed: (key: string, value?: unknown) => void): Store {
  return {
    entries: <T>(prefix: string) =>
      [...records.keys()]
        .filter((key) => key.startsWith(prefix))
        .sort()
        .map((key) => ({ key, value: JSON.parse(records.get(key) ?? "null") as T })),
    get: <T>(key: string) => {
      const text = records.get(key);
      return text === undefined ? undefined : (JSON.parse(text) as T);
    },
    set: (key, value) => {
      records.set(key, JSON.stringify(value));
      changed(key, value);
    },
    delete: (key) => {
      if (records.delete(key)) changed(key);
    },
  };
}
