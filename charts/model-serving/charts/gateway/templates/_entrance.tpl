{{/*
What clients outside of the cluster may ask for: the API, its description, and whether it answers. Not /metrics, which
is for Prometheus and names the holders of API keys. Lists of [type as in Ingress, type as in HTTPRoute, path].
*/}}
{{- define "gateway.entrancePaths" -}}
{{- $paths := list -}}
{{- range list "/api/v1" "/docs" -}}
{{- $paths = append $paths (list "Prefix" "PathPrefix" .) -}}
{{- end -}}
{{- range list "/openapi.json" "/health" "/ready" -}}
{{- $paths = append $paths (list "Exact" "Exact" .) -}}
{{- end -}}
{{- $paths | toJson -}}
{{- end -}}
