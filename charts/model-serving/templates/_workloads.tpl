{{/* Whole objects that gateway and transformer have alike. They take the dict described in _helpers.tpl. */}}

{{- define "model-serving.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "model-serving.metadata" . | nindent 2 }}
# Nothing here talks to the Kubernetes API.
automountServiceAccountToken: false
{{- end -}}

{{- define "model-serving.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "model-serving.metadata" . | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    app: {{ .app | default .name }}
  ports:
    - name: http
      port: 8080
      targetPort: http
      protocol: TCP
{{- end -}}

{{/* Also takes pods, the value of their label app, and targetPort. */}}
{{- define "model-serving.replicasService" -}}
# The addresses of all ready pods, for clients that spread their requests over them: behind a cluster IP, the few
# long-lived connections of a client that sends batches lead to few pods. No name of a port that KServe knows and
# none of KServe's labels: it removes Services that look like its own.
apiVersion: v1
kind: Service
metadata:
  {{- include "model-serving.metadata" . | nindent 2 }}
spec:
  type: ClusterIP
  clusterIP: None
  publishNotReadyAddresses: false
  selector:
    app: {{ .pods }}
  ports:
    - name: http
      port: 8080
      targetPort: {{ .targetPort }}
      protocol: TCP
{{- end -}}

{{- define "model-serving.hpa" -}}
{{- $scaling := .root.Values.autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "model-serving.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ .name }}
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $scaling.targetCPUUtilizationPercentage }}
  behavior:
    # Up at once, doubling or by four: a queue that fills costs answers.
    scaleUp:
      stabilizationWindowSeconds: 0
      selectPolicy: Max
      policies:
        - type: Percent
          value: 100
          periodSeconds: 15
        - type: Pods
          value: 4
          periodSeconds: 15
    # Down a pod at a time, and only after a calm stretch: load comes in waves.
    scaleDown:
      stabilizationWindowSeconds: {{ $scaling.scaleDownStabilizationSeconds }}
      selectPolicy: Max
      policies:
        - type: Pods
          value: 1
          periodSeconds: 60
{{- end -}}

{{/* Also takes pods, the value of their label app. A wave after theirs: without pods Argo CD calls it degraded, and a
sync that heals a deleted Deployment would fail first. */}}
{{- define "model-serving.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "model-serving.metadata" . | nindent 2 }}
spec:
  # One at a time. Not minAvailable: with a single replica that would hold up the draining of its node for ever.
  maxUnavailable: 1
  # A pod that does not serve anyway may go.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      app: {{ .pods | default .name }}
{{- end -}}
