// Where the schemas of test_schemas.py come from: the cluster's Kubernetes, and the CRDs that must be in it.
module schemas

go 1.25

require (
	github.com/argoproj/argo-cd/v3 v3.2.6
	github.com/kserve/kserve v0.20.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
	k8s.io/kubernetes v1.34.4
	sigs.k8s.io/gateway-api v1.4.1
)
