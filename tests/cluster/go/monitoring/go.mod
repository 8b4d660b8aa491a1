// Prometheus operator's CustomResourceDefinitions are in its module.
module reservation-worker/tests/cluster/monitoring

go 1.26

require github.com/prometheus-operator/prometheus-operator v0.85.0
