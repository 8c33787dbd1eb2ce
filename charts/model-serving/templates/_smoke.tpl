{{/* The pod that sends a real prediction. */}}
{{- define "model-serving.smokePod" -}}
{{- $serving := include "model-serving.namespace" (dict "root" . "place" "serving") -}}
{{- include "model-serving.pod" (dict "root" . "serviceAccount" "default") }}
restartPolicy: Never
containers:
  - name: smoke
    # The gateway's own image: it has Python, and is on the nodes already.
    image: {{ include "model-serving.image" (dict "root" . "image" .Values.gateway.image) }}
    {{- include "model-serving.container" . | nindent 4 }}
    command: [python3, -c]
    args:
      - |
        {{- .Files.Get "files/smoke.py" | trim | nindent 8 }}
    env:
      - name: GATEWAY_URL
        value: http://api-gateway.{{ $serving }}:8080
      - name: ENVIRONMENT
        value: {{ .Values.global.environment }}
      - name: MODEL_VERSION
        value: {{ base .Values.global.model.uri | quote }}
      - name: MODEL_SHA256
        value: {{ .Values.global.model.sha256 | quote }}
      - name: TIMEOUT_SECONDS
        value: {{ .Values.smoke.timeoutSeconds | quote }}
      - name: ANSWERS
        value: {{ .Values.smoke.answers | quote }}
      {{- with .Values.gateway.apiKeys.smokeSecret }}
      - name: API_KEY
        valueFrom:
          secretKeyRef:
            name: {{ . }}
            key: api-key
      {{- end }}
    resources:
      requests:
        cpu: 20m
        memory: 32Mi
      limits:
        cpu: 500m
        memory: 128Mi
volumes:
  {{- include "model-serving.volumes" . | nindent 2 }}
{{- end -}}
