{{/*
Templates that all subcharts share; names in Helm are global. Most take a dict that says which object is meant:

  root   the context of the chart that calls
  name   metadata.name
  app    the label app and app.kubernetes.io/name; the same as name where it is missing
  place  which of global.namespaces: serving, models or monitoring
  wave   Argo CD's sync wave: -1 configuration, 0 predictor, 1 transformer and gateway, 2 drift
  labels more labels for the object itself, if any
*/}}

{{/* "-staging", and nothing in production: for names in namespaces that environments share. */}}
{{- define "model-serving.suffix" -}}
{{- if ne .Values.global.environment "production" }}-{{ .Values.global.environment }}{{ end }}
{{- end -}}

{{/* The namespace of a place. Takes root and place. */}}
{{- define "model-serving.namespace" -}}
{{- $global := .root.Values.global -}}
{{- $default := eq .place "serving" | ternary (printf "serving%s" (include "model-serving.suffix" .root)) "" -}}
{{- get $global.namespaces .place | default $default -}}
{{- end -}}

{{/* The InferenceService's name; all that belongs to it is called after it. */}}
{{- define "model-serving.inferenceService" -}}
spam-detector{{ include "model-serving.suffix" . }}
{{- end -}}

{{/*
No helm.sh/chart and no version among them: a label that changes with every release of the chart rolls pods and
hides what else a release changes.
*/}}
{{- define "model-serving.labels" -}}
{{- $app := .app | default .name -}}
app: {{ $app }}
app.kubernetes.io/name: {{ $app }}
app.kubernetes.io/component: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: model-serving
environment: {{ .root.Values.global.environment }}
{{- end -}}

{{- define "model-serving.metadata" -}}
name: {{ .name }}
namespace: {{ include "model-serving.namespace" . }}
labels:
  {{- include "model-serving.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  argocd.argoproj.io/sync-wave: {{ .wave | quote }}
{{- end -}}

{{/* registry/repository@digest; by tag only where templates/guards.yaml lets it. Takes root and image. */}}
{{- define "model-serving.image" -}}
{{- $reference := printf ":%s" .image.tag -}}
{{- if .image.digest }}{{ $reference = printf "@%s" .image.digest }}{{ end -}}
{{- printf "%s/%s%s" .root.Values.global.image.registry .image.repository $reference | quote -}}
{{- end -}}

{{/* What every pod of ours has. Takes root and serviceAccount. */}}
{{- define "model-serving.pod" -}}
serviceAccountName: {{ .serviceAccount }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.global.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* What every container of ours has: the restricted Pod Security Standard, and a root file system that stays as built. */}}
{{- define "model-serving.container" -}}
imagePullPolicy: {{ .Values.global.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  privileged: false
  readOnlyRootFilesystem: true
  runAsGroup: 65532
  runAsNonRoot: true
  runAsUser: 65532
terminationMessagePath: /dev/termination-log
# The last log line says why a process has refused to start.
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - name: tmp
    mountPath: /tmp
{{- end -}}

{{- define "model-serving.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- end -}}

{{/* Replicas on different nodes and zones where there are any; a small cluster may still put them together. */}}
{{- define "model-serving.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      app: {{ $.app }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/*
A map of settings as environment variables, sorted. Whole numbers are written out: YAML's are floats to Helm, which
would make 4.194304e+06 of 4194304.
*/}}
{{- define "model-serving.settings" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  value: {{ and (kindIs "float64" $value) (eq (floor $value) $value) | ternary (int64 $value) $value | toString | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "model-serving.secretName" -}}
{{- .Values.global.storage.existingSecret | default (printf "model-serving-s3%s" (include "model-serving.suffix" .)) -}}
{{- end -}}

{{/* Where S3 is and who asks, as every S3 client reads it. */}}
{{- define "model-serving.s3" -}}
{{- range $variable := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ include "model-serving.secretName" $ }}
      key: {{ $variable }}
{{- end }}
- name: AWS_REGION
  value: {{ .Values.global.storage.region | quote }}
{{- with .Values.global.storage.endpoint }}
- name: AWS_ENDPOINT_URL_S3
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Where spans go; nothing where they go nowhere. Which requests have any, the gateway alone decides. */}}
{{- define "model-serving.tracing" -}}
{{- with .Values.global.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: deployment.environment.name={{ $.Values.global.environment }}
{{- end }}
{{- end -}}

{{/* Which requests are traced, for the gateway. */}}
{{- define "model-serving.sampling" -}}
{{- $tracing := .Values.global.tracing -}}
{{- if $tracing.endpoint }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ kindIs "invalid" $tracing.ratio | ternary 0.01 $tracing.ratio | quote }}
{{- if not (kindIs "invalid" $tracing.parentsPerSecond) }}
- name: TRACING_PARENTS_PER_SECOND
  value: {{ $tracing.parentsPerSecond | quote }}
{{- end }}
{{- end }}
{{- end -}}
