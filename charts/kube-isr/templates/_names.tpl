{{/* Names and labels. */}}

{{- define "kube-isr.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The installation: every object of ours begins with it, those of the operator too. 40 characters leave room for what
follows in the 63 of a label's value: the longest is "-origin-tokens". */}}
{{- define "kube-isr.installation" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "kube-isr.name" .) .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "kube-isr.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What never changes, for selectors. Takes a list: the root, the part. */}}
{{- define "kube-isr.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "kube-isr.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels. Takes a list: the root, the part. */}}
{{- define "kube-isr.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{ include "kube-isr.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: kube-isr
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object of ours. Takes a list: the root, the part, the name. */}}
{{- define "kube-isr.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "kube-isr.labels" (list $root (index . 1)) | nindent 2 }}
{{- end }}

{{/* Takes a list: the root, the part. */}}
{{- define "kube-isr.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{ (index $root.Values $part).serviceAccount.name | default (printf "%s-%s" (include "kube-isr.installation" $root) $part) }}
{{- end }}

{{/* Where the shared tier is; nothing without one. */}}
{{- define "kube-isr.shared.url" -}}
{{- if .Values.shared.url -}}
{{ .Values.shared.url }}
{{- else if .Values.valkey.enabled -}}
redis://{{ include "kube-isr.installation" . }}-valkey:6379
{{- end }}
{{- end }}

{{/* The operator's ClusterRole. Its name holds the namespace: cluster-wide names must differ between installations of the
same name. */}}
{{- define "kube-isr.clusterRole" -}}
{{ .Release.Namespace }}:{{ include "kube-isr.installation" . }}-operator
{{- end }}

{{- define "kube-isr.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}
