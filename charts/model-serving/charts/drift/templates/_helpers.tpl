{{/* Where a baseline made from the log goes: one for each model, since a baseline of another model is refused. */}}
{{- define "drift.baselineOut" -}}
{{- $global := .Values.global -}}
{{- $default := printf "%s/_baselines/%s/%s.parquet" (trimSuffix "/" $global.inferenceLog.uri) $global.environment (base $global.model.uri) -}}
{{- .Values.baseline.out | default $default -}}
{{- end -}}

{{/* What both jobs read, beside S3. Nothing of them may be kept on a root file system that is read only. */}}
{{- define "drift.env" -}}
- name: HOME
  value: /tmp
- name: NUMBA_CACHE_DIR
  value: /tmp
- name: ENVIRONMENT
  value: {{ .Values.global.environment }}
- name: INFERENCE_LOG_URI
  value: {{ .Values.global.inferenceLog.uri | quote }}
{{- include "model-serving.s3" . }}
{{- end -}}
