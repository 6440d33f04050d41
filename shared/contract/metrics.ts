/** Numbers about one connection, as the Tracker gives them. */

export interface Sample {
  labels?: Record<string, string>;
  value: number;
}

export interface Metric {
  /** Without the suffix that counters get. */
  name: string;
  type: "gauge" | "counter";
  /** One sentence: what it counts, and over what. */
  help: string;
  /** The last word of the name, where it measures something. */
  unit?: "seconds";
  samples: Sample[];
}
