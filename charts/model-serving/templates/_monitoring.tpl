{{/* Rules for Prometheus: what fills in rules/*.yaml, and the SLOs, whose windows come from values. */}}

{{/* The ${names} of rules/*.yaml. */}}
{{- define "monitoring.variables" -}}
{{- $drift := .Values.monitoring.drift -}}
environment: {{ .Values.global.environment }}
namespace: {{ include "model-serving.namespace" (dict "root" . "place" "serving") }}
predictorNamespace: {{ include "model-serving.namespace" (dict "root" . "place" "models") }}
driftNamespace: {{ include "model-serving.namespace" (dict "root" . "place" "monitoring") }}
gateway: api-gateway
transformer: feature-transformer
predictor: {{ include "model-serving.inferenceService" . }}-predictor
driftStaleFor: {{ $drift.staleMinutes }}m
driftStaleSeconds: {{ mul $drift.staleMinutes 60 | quote }}
driftDataAgeSeconds: {{ mul $drift.dataAgeMinutes 60 | quote }}
driftInsufficientFor: {{ $drift.insufficientDataHours }}h
predictorNotReadyFor: {{ .Values.monitoring.predictor.notReadyMinutes }}m
hpaAtMaximumFor: {{ .Values.monitoring.hpa.atMaximumMinutes }}m
{{- end -}}

{{/* All groups: the SLOs', and those of rules/*.yaml filled in. Where no drift job runs, nothing is said of it. */}}
{{- define "monitoring.groups" -}}
{{- $groups := get (include "monitoring.slo" . | fromYaml) "groups" -}}
{{- $variables := include "monitoring.variables" . | fromYaml -}}
{{- range $path, $content := .Files.Glob "rules/*.yaml" -}}
{{-   $text := toString $content -}}
{{-   range $name, $value := $variables -}}
{{-     $text = replace (printf "${%s}" $name) $value $text -}}
{{-   end -}}
{{-   with regexFind "\\$\\{[^}]*\\}" $text }}{{ fail (printf "%s names %s, which monitoring.variables does not define" $path .) }}{{ end -}}
{{-   $parsed := fromYaml $text -}}
{{-   with $parsed.Error }}{{ fail (printf "%s is no YAML: %s" $path .) }}{{ end -}}
{{-   if or $.Values.drift.enabled (ne (base $path) "drift.yaml") -}}
{{-     $groups = concat $groups $parsed.groups -}}
{{-   end -}}
{{- end -}}
{{- include "monitoring.checkDisabled" (list . $groups) -}}
{{- range $group := $groups -}}
{{-   $rules := list -}}
{{-   range $rule := $group.rules -}}
{{-     if not (has $rule.alert $.Values.monitoring.rules.disabled) -}}
{{-       $rules = append $rules (include "monitoring.rule" (list $ $rule) | fromYaml) -}}
{{-     end -}}
{{-   end }}
- name: {{ $group.name }}
  rules:
    {{- toYaml $rules | nindent 4 }}
{{- end -}}
{{- end -}}

{{- define "monitoring.checkDisabled" -}}
{{- $names := list -}}
{{- range $group := index . 1 -}}
{{-   range $group.rules }}{{ $names = append $names .alert }}{{ end -}}
{{- end -}}
{{- $known := $names | compact | uniq | sortAlpha -}}
{{- range (index . 0).Values.monitoring.rules.disabled -}}
{{-   if not (has . $known) -}}
{{-     fail (printf "ERROR: monitoring.rules.disabled has %q, and there is no such alert; write: one of %s." . (join ", " $known)) -}}
{{-   end -}}
{{- end -}}
{{- end -}}

{{/* A rule with its environment; an alert also with the severity's name here and the address of its runbook. */}}
{{- define "monitoring.rule" -}}
{{- $root := index . 0 -}}
{{- $rule := index . 1 -}}
{{- $labels := merge (dict "environment" $root.Values.global.environment) ($rule.labels | default dict) -}}
{{- if $rule.alert -}}
{{-   $_ := set $labels "severity" (index $root.Values.monitoring.rules.severities $rule.labels.severity) -}}
{{-   $runbook := printf "%s/%s.md" (trimSuffix "/" $root.Values.monitoring.rules.runbooks) $rule.alert -}}
{{-   $_ := set $rule "annotations" (merge (dict "runbook_url" $runbook) $rule.annotations) -}}
{{- end -}}
{{- toYaml (merge (dict "labels" $labels) $rule) -}}
{{- end -}}

{{/*
Two objectives for what clients of this environment see, whatever their entrance: requests that do not fail, and predict
requests answered in time. Every gateway serves every environment, and a broken one must burn its own budget only. An alert looks at the budget's burn over a long window, so that it means something, and over a short
one, so that it ends soon after the trouble (Google's SRE workbook, "Alerting on SLOs").
*/}}
{{- define "monitoring.slo" -}}
{{- $slo := .Values.monitoring.slo -}}
{{- $environment := .Values.global.environment -}}
{{- $gateways := printf "environment=%q, pod=~\"api-gateway-.+\"" $environment -}}
{{- $all := printf "%s, handler=~\"/api/v1/.+\"" $gateways -}}
{{- $answered := printf "%s, handler=\"/api/v1/predict\", status=\"200\"" $gateways -}}
{{- $le := include "monitoring.bucket" $slo.latency.thresholdSeconds -}}
{{- $windows := list -}}
{{- range $slo.windows }}{{ $windows = concat $windows (list .short .long) }}{{ end -}}
groups:
  - name: model-serving-{{ $environment }}-slo
    rules:
      - record: environment:slo_availability:objective
        expr: vector({{ $slo.availability }})
      - record: environment:slo_latency:objective
        expr: vector({{ $slo.latency.objective }})
      {{- range $window := uniq $windows }}
      - record: environment:http_requests_failed:ratio_rate{{ $window }}
        expr: |
          (sum(rate(http_request_duration_seconds_count{ {{- $all }}, status=~"5.."}[{{ $window }}])) or vector(0))
          / (sum(rate(http_request_duration_seconds_count{ {{- $all }}}[{{ $window }}])) > 0)
      - record: environment:http_requests_slow:ratio_rate{{ $window }}
        expr: |
          1 - sum(rate(http_request_duration_seconds_bucket{ {{- $answered }}, le={{ $le }}}[{{ $window }}]))
          / (sum(rate(http_request_duration_seconds_count{ {{- $answered }}}[{{ $window }}])) > 0)
      {{- end }}
      {{- range $slo.windows }}
      - alert: AvailabilityBudgetBurn
        expr: |
          environment:http_requests_failed:ratio_rate{{ .long }}{environment={{ $environment | quote }}} > {{ .burnRate }} * (1 - {{ $slo.availability }})
          and
          environment:http_requests_failed:ratio_rate{{ .short }}{environment={{ $environment | quote }}} > {{ .burnRate }} * (1 - {{ $slo.availability }})
          and on ()
          sum(increase(http_request_duration_seconds_count{ {{- $all }}, status=~"5.."}[{{ .long }}])) >= {{ $slo.minimumBadRequests }}
        for: {{ .for }}
        labels:
          severity: {{ .severity }}
          window: {{ .long }}
        annotations:
          summary: Too many requests to {{ $environment }} fail.
          description: >-
            {{ `{{ $value | humanizePercentage }}` }} of the requests of the last {{ .long }} failed (5xx), and it goes on. At this rate
            the failures that an availability of {{ $slo.availability }} allows for in 30 days are used up in less than
            {{ divf 720 .burnRate | floor }} hours. See which kind of error on the serving dashboard.
      - alert: LatencyBudgetBurn
        expr: |
          environment:http_requests_slow:ratio_rate{{ .long }}{environment={{ $environment | quote }}} > {{ .burnRate }} * (1 - {{ $slo.latency.objective }})
          and
          environment:http_requests_slow:ratio_rate{{ .short }}{environment={{ $environment | quote }}} > {{ .burnRate }} * (1 - {{ $slo.latency.objective }})
          and on ()
          sum(increase(http_request_duration_seconds_count{ {{- $answered }}}[{{ .long }}]))
          - sum(increase(http_request_duration_seconds_bucket{ {{- $answered }}, le={{ $le }}}[{{ .long }}])) >= {{ $slo.minimumBadRequests }}
        for: {{ .for }}
        labels:
          severity: {{ .severity }}
          window: {{ .long }}
        annotations:
          summary: Too many answers of {{ $environment }} are slow.
          description: >-
            {{ `{{ $value | humanizePercentage }}` }} of the predict requests of the last {{ .long }} took longer than
            {{ $slo.latency.thresholdSeconds }} s, and it goes on; {{ $slo.latency.objective }} of them shall not. See on the serving
            dashboard whether they wait in the queue (too little capacity) or upstream (a slow tier).
      {{- end }}
{{- end -}}

{{/* The label le of a bucket of http_request_duration_seconds, quoted. */}}
{{- define "monitoring.bucket" -}}
{{- $buckets := list "0.001" "0.0025" "0.005" "0.01" "0.025" "0.05" "0.1" "0.25" "0.5" "1.0" "2.5" "5.0" "10.0" -}}
{{- $le := toString . -}}
{{- if not (contains "." $le) }}{{ $le = printf "%s.0" $le }}{{ end -}}
{{- if not (has $le $buckets) -}}
{{-   fail (printf "ERROR: monitoring.slo.latency.thresholdSeconds is %v, which is no bucket of the gateway's histogram; write: one of %s." . (join ", " $buckets)) -}}
{{- end -}}
{{- quote $le -}}
{{- end -}}
