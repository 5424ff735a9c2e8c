// What conf/grafana.json may hold, in the words of Grafana's own schema: test_grafana.sh puts it behind the "=".
import type { Dashboard, GraphFieldConfig, Panel } from "@grafana/schema";

interface Query extends Record<string, unknown> { refId: string; expr: string; legendFormat: string }
interface Chart extends Panel<Record<string, never>, GraphFieldConfig> {
  type: "timeseries";
  title: string;
  datasource: { type: "prometheus"; uid: "${datasource}" };
  gridPos: NonNullable<Panel["gridPos"]>;
  fieldConfig: { defaults: { unit: "short" | "ops" | "s"; min: 0 }; overrides: [] };
  targets: Query[];
}
// Without a uid or an id: Grafana gives each import its own.
type Importable = Omit<Dashboard, "uid" | "id" | "panels"> & { title: string; panels: Chart[] };

export const dashboard: Importable =
