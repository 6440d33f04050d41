/** Metrics as OpenMetrics 1.0 text, which Prometheus and its relatives collect. */
import type { Metric } from "../../shared/contract/metrics.ts";

export const OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** OpenMetrics text of several connections: each family once, with a `connection` label on every sample. */
export function openMetrics(connections: ReadonlyMap<string, readonly Metric[]>): string {
  const families = new Map<string, { metric: Metric; lines: string[] }>();
  for (const [connection, metrics] of connections) {
    for (const metric of metrics) {
      const family = families.get(metric.name) ?? { metric, lines: [] };
      families.set(metric.name, family);
      const suffix = metric.type === "counter" ? "_total" : "";
      for (const { labels = {}, value } of metric.samples) {
        family.lines.push(`${metric.name}${suffix}{${labelText({ connection, ...labels })}} ${value}`);
      }
    }
  }
  const text = [...families.values()].flatMap(({ metric: { name, type, help, unit }, lines }) => [
    `# TYPE ${name} ${type}`,
    ...(unit === undefined ? [] : [`# UNIT ${name} ${unit}`]),
    `# HELP ${name} ${escaped(help)}`,
    ...lines,
  ]);
  return [...text, "# EOF", ""].join("\n");
}

const labelText = (labels: Record<string, string>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(",");

const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
