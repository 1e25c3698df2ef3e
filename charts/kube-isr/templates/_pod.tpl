{{/* What the pods of operator and proxies have in common. */}}

{{/* metadata of the pods. Takes a list: the root, the part. */}}
{{- define "kube-isr.pod.metadata" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
# No version among them: a new chart with the same image and arguments leaves the pods, and the pages they hold, alone.
labels:
  {{- include "kube-isr.selector" . | nindent 2 }}
  {{- with $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The specification but for its containers and volumes. Takes a list: the root, the part. */}}
{{- define "kube-isr.pod.spec" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $values := index $root.Values $part -}}
serviceAccountName: {{ include "kube-isr.serviceAccount" . }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Takes a list: the root, the part. */}}
{{- define "kube-isr.pod.spread" -}}
{{- $root := index . 0 -}}
topologySpreadConstraints:
{{- with (index $root.Values (index . 1)).topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  {{- $parts := . }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    # While pods roll, the new ones are spread among themselves.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "kube-isr.selector" $parts | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The container but for its arguments, ports and probes of its own. Takes a list: the root, the part. */}}
{{- define "kube-isr.container" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
name: {{ index . 1 }}
image: {{ include "kube-isr.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml $root.Values.securityContext | nindent 2 }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
env:
  - name: RUST_LOG
    value: {{ $root.Values.logLevel | quote }}
  {{- if eq (index . 1) "operator" }}
  # Who holds the Lease.
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  {{- end }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
# It is alive from the moment it listens; half a minute is for a node that is busy with everything else.
startupProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 1
  failureThreshold: 30
# A restart costs a proxy the pages in its memory, so it takes a minute of silence.
livenessProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
# That a proxy drains is to be heard soon.
readinessProbe:
  httpGet: { path: /readyz, port: admin }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}
