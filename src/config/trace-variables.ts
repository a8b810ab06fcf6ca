// OpenTelemetry's variables that this server reads itself; its SDK reads the others. A platform may set them in every container, so a mistake
// in them must not stop the start.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/

export interface TracesConfig {
  /** undefined if no traces are sent. */
  collector: CollectorConfig | undefined;
  /** What is wrong with the variables. No value is repeated: the URL may contain a password. */
  warnings: string[];
}

export interface CollectorConfig {
  /** May contain a password. */
  url: string;
  format: (typeof formats)[keyof typeof formats];
  /** The variable that names it. */
  variable: string;
}

const formats = { 'http/protobuf': 'protobuf', 'http/json': 'json' } as const;

/** Unlike this server's own variables, these may be in upper case and have spaces around them: the SDK accepts that too. */
export function readTraces(env: Record<string, string | undefined>): TracesConfig {
  const warnings: string[] = [];
  /** The first of these variables that is set. */
  const read = (...names: string[]) => {
    const set = names.map((variable) => ({ variable, value: env[variable]?.trim() ?? '' }));
    return set.find(({ value }) => value !== '');
  };
  const off = (...reasons: string[]): TracesConfig => ({ collector: undefined, warnings: [...warnings, ...reasons] });

  const endpoint = read('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT');
  if (!endpoint) return off();
  const disabled = read('OTEL_SDK_DISABLED')?.value.toLowerCase() ?? 'false';
  const exporter = read('OTEL_TRACES_EXPORTER')?.value.toLowerCase() ?? 'otlp';
  if (disabled === 'true' || exporter === 'none') return off();
  if (disabled !== 'false') warnings.push('OTEL_SDK_DISABLED must be true or false: it counts as false.');
  if (exporter !== 'otlp') return off('OTEL_TRACES_EXPORTER must be otlp or none: no traces are sent.');

  const protocol = read('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL');
  const [, format] =
    Object.entries(formats).find(([name]) => name === (protocol?.value.toLowerCase() ?? 'http/protobuf')) ?? [];
  if (!format) return off(`${protocol?.variable} must be http/protobuf or http/json: no traces are sent.`);

  const { variable, value } = endpoint;
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    return off(`${variable} must be an http or https URL, such as http://localhost:4318: no traces are sent.`);
  if (variable === 'OTEL_EXPORTER_OTLP_ENDPOINT') url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`;
  return { collector: { url: url.href, format, variable }, warnings };
}
