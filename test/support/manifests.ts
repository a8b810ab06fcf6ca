import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** What the tests read of an object of Kubernetes. */
export interface Manifest {
  kind: string;
  metadata: { name: string; labels: Record<string, string> };
}

interface Probe {
  httpGet: { path: string; port: string };
  periodSeconds: number;
  timeoutSeconds?: number;
  failureThreshold: number;
}

interface Selector {
  matchLabels: Record<string, string>;
}

interface Rule {
  from?: object[];
  ports: { port: string | number; protocol?: string }[];
}

export interface Manifests {
  'config-map': Manifest & { data: Record<string, string> };
  deployment: Manifest & { spec: { selector: Selector; template: Pod } };
  'horizontal-pod-autoscaler': Manifest & {
    spec: { scaleTargetRef: { apiVersion: string; kind: string; name: string }; minReplicas: number };
  };
  'network-policy': Manifest & { spec: { podSelector: Selector; ingress: Rule[]; egress: Rule[] } };
  'pod-disruption-budget': Manifest & { spec: { selector: Selector; maxUnavailable: number } };
  service: Manifest & {
    spec: { selector: Record<string, string>; ports: { name: string; port: number; targetPort: string }[] };
  };
  'service-monitor': Manifest & { spec: { selector: Selector; endpoints: { port: string }[] } };
}

interface Pod {
  metadata: { labels: Record<string, string> };
  spec: {
    terminationGracePeriodSeconds: number;
    securityContext: { runAsUser: number; runAsGroup: number; fsGroup: number };
    topologySpreadConstraints: { labelSelector: Selector }[];
    containers: [Container];
    volumes: [{ name: string; secret: { secretName: string; defaultMode: number } }];
  };
}

interface Container {
  image: string;
  ports: { name: string; containerPort: number }[];
  env: { name: string; value: string }[];
  envFrom: [{ configMapRef: { name: string } }];
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe: Probe;
  securityContext: object;
  resources: { requests: { cpu: string; memory: string }; limits: { memory: string } };
  volumeMounts: [{ name: string; mountPath: string }];
}

export interface Kustomization {
  resources: string[];
  images: [{ name: string; newName: string; newTag: string }];
}

export interface Compose {
  services: Record<'contact-phone-subgraph' | 'valkey', ComposeService>;
  networks: object;
  secrets: Record<string, { file: string }>;
}

interface ComposeService {
  image: string;
  user: string;
  networks: string[];
  ports?: string[];
  environment: Record<string, string>;
  secrets: string[];
  stop_grace_period: string;
}

/** Kubernetes and Docker Compose read YAML 1.1, where `off` without quotes is false. */
export const readYaml = (file: string): unknown => parse(readFileSync(file, 'utf8'), { version: '1.1' });
