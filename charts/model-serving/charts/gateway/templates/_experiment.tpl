{{/* Variables of what is tried on this environment's mail; none unless there is a share. */}}
{{- define "gateway.experiment" -}}
{{- $shadow := .Values.experiment.shadow -}}
{{- $canary := .Values.experiment.canary -}}
{{- if or $shadow.share $canary.share -}}
- name: EXPERIMENT_BASELINE
  value: {{ .Values.global.environment | quote }}
- name: EXPERIMENT_CANDIDATE
  value: {{ .Values.experiment.candidate | quote }}
{{- if $shadow.share }}
- name: SHADOW_SHARE
  value: {{ $shadow.share | quote }}
{{- end }}
{{- if $canary.share }}
- name: CANARY_SHARE
  value: {{ $canary.share | quote }}
- name: CANARY_MAX_ERROR_RATE
  value: {{ $canary.maxErrorRate | quote }}
- name: CANARY_MAX_LATENCY_SECONDS
  value: {{ $canary.maxLatencySeconds | quote }}
- name: CANARY_MINIMUM_REQUESTS
  value: {{ $canary.minimumRequests | quote }}
- name: CANARY_WINDOW_SECONDS
  value: {{ $canary.windowSeconds | quote }}
{{- end }}
{{- end }}
{{- end -}}
