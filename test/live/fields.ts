/** Which fields the answers of FirecREST have, by operation: what recordings of real servers know, to tell what is new. */

/** Systems that the recordings were made on; names of systems are keys in some answers. */
const RECORDED_SYSTEMS = new Set(["cluster", "cluster-raw", "refused", "nodata", "noname"]);

/** The route of a request below the API's base, without query, system and ids. */
export function operationOf(path: string): string {
  return (path.split("?")[0] ?? "")
    .replace(
      /^\/(status|compute|filesystem)\/[^/]+\/(nodes|partitions|reservations|userinfo|jobs|ops|transfer)\b/,
      "/$1/{system}/$2",
    )
    .replace(/^(\/compute\/\{system\}\/jobs)\/[^/]+/, "$1/{id}")
    .replace(/^\/(compute|storage|utilities|tasks|reservations)\/status$/, "/{service}/status")
    .replace(/^\/tasks\/?[^/]*$/, "/tasks")
    .replace(/^\/status\/(systems|filesystems|services)\/[^/]+$/, "/status/$1/{name}");
}

/** Every field of a JSON value as a path: `tasks.*.data[].state`. Keys that are ids or names are `*`. */
export function fieldsIn(value: unknown, names: ReadonlySet<string>, at = ""): Set<string> {
  const found = new Set<string>();
  const add = (inner: unknown, path: string) => {
    for (const field of fieldsIn(inner, names, path)) found.add(field);
  };
  if (Array.isArray(value)) for (const item of value) add(item, `${at}[]`);
  else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      const isName = names.has(key) || /^(\d+|[0-9a-f]{32})$/.test(key);
      const path = `${at}${at === "" ? "" : "."}${isName ? "*" : key}`;
      found.add(path);
      add(inner, path);
    }
  }
  return found;
}

/** The fields of all recorded answers by operation. The view of one task counts for the list of tasks. */
export function readKnownFields(jsonLines: string): Map<string, Set<string>> {
  // Of heartbeats only refusals were recorded; this is what the services' source says.
  const known = new Map([["/{service}/status", new Set(["success"])]]);
  const learn = (operation: string, body: unknown) => {
    const fields = known.get(operation) ?? new Set<string>();
    known.set(operation, fields);
    for (const field of fieldsIn(body, RECORDED_SYSTEMS)) {
      fields.add(field);
      if (field.startsWith("task.")) fields.add(field.replace(/^task\./, "tasks.*."));
    }
  };
  for (const line of jsonLines.split("\n").filter((text) => text.trim() !== "")) {
    const { request, response, states } = JSON.parse(line) as {
      request?: { method: string; path: string };
      response?: { body?: unknown };
      states?: { body?: unknown }[];
    };
    if (request?.method === "GET" && !/^https?:/.test(request.path)) learn(operationOf(request.path), response?.body);
    // Distinct answers about one task, or about one job.
    for (const { body } of states ?? [])
      for (const operation of ["/tasks", "/compute/{system}/jobs/{id}"]) learn(operation, body);
  }
  return known;
}
