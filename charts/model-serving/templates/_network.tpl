{{/* Pieces of templates/networkpolicies.yaml. */}}

{{/* Pods as a peer: takes namespace, and labels (empty for all pods there). */}}
{{- define "model-serving.peer" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .namespace }}
  {{- with .labels }}
  podSelector:
    matchLabels:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end -}}

{{/* The pods of one app in the namespaces of all environments that the gateway knows. Takes root and app. */}}
{{- define "model-serving.everyEnvironment" -}}
{{- range $namespace := include "model-serving.routedNamespaces" .root | fromJsonArray }}
{{ include "model-serving.peer" (dict "namespace" $namespace "labels" (dict "app" $.app)) }}
{{- end }}
{{- end -}}

{{/* The namespaces in the gateway's routes, http://service.namespace:port. */}}
{{- define "model-serving.routedNamespaces" -}}
{{- $namespaces := list -}}
{{- range .Values.gateway.routes }}
{{- $namespaces = append $namespaces (regexReplaceAll "^http://[^.]+\\.([^.:/]+).*$" . "${1}") }}
{{- end }}
{{- $namespaces | uniq | sortAlpha | toJson }}
{{- end -}}

{{- define "model-serving.http" -}}
- protocol: TCP
  port: 8080
{{- end -}}

{{/* An ingress rule for Prometheus. */}}
{{- define "model-serving.scraping" -}}
- from:
    {{- include "model-serving.peer" (dict "namespace" .Values.global.namespaces.monitoring) | nindent 4 }}
  ports:
    {{- include "model-serving.http" . | nindent 4 }}
{{- end -}}

{{/* An egress rule for the name servers. */}}
{{- define "model-serving.dns" -}}
- to:
    {{- toYaml .Values.global.networkPolicy.dns | nindent 4 }}
  ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
{{- end -}}

{{/* Egress rules for the collector of traces; nothing without one. */}}
{{- define "model-serving.collector" -}}
{{- if .Values.global.tracing.endpoint }}
{{- toYaml .Values.global.tracing.egress }}
{{- end }}
{{- end -}}
