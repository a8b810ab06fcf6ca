const sample = /^([a-z_]\w*)(?:\{((?:[a-z]\w*="[^"\\\n]*",?)*)\})? (-?(?:[\d.]+(?:e[+-]?\d+)?|Inf)|NaN)$/i;

/**
 * Parses `/metrics` as Prometheus does, and fails on anything that Prometheus could not parse.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * @returns the value of each series, by its name and labels as written
 */
export async function readMetrics(url: string): Promise<Record<string, number>> {
  const response = await fetch(url);
  const type = response.headers.get('content-type') ?? '';
  if (response.status !== 200 || !type.startsWith('text/plain; version=0.0.4')) {
    throw new Error(`These are no metrics: HTTP ${response.status}, ${type}`);
  }
  const series: Record<string, number> = {};
  const typed = new Set<string>();
  for (const line of (await response.text()).split('\n').filter(Boolean)) {
    const [, name] = /^# (?:HELP|TYPE) (\w+) .+$/.exec(line) ?? [];
    if (name !== undefined) {
      typed.add(name);
      continue;
    }
    const [, family = '', labels, value] = sample.exec(line) ?? [];
    const isTyped = [family, family.replace(/_(bucket|sum|count)$/, '')].some((known) => typed.has(known));
    if (value === undefined || !isTyped) {
      throw new Error(`This is no sample: ${line}`);
    }
    const key = labels === undefined ? family : `${family}{${labels}}`;
    if (key in series) throw new Error(`This comes twice: ${key}`);
    series[key] = Number(value);
  }
  return series;
}
