{{/* The pods of the proxies: the same in a Deployment and in a DaemonSet. */}}

{{- define "kube-isr.proxy.pod" -}}
{{- $proxy := .Values.proxy -}}
metadata:
  {{- include "kube-isr.pod.metadata" (list . "proxy") | nindent 2 }}
spec:
  {{- include "kube-isr.pod.spec" (list . "proxy") | nindent 2 }}
  {{- if eq $proxy.kind "Deployment" }}
  {{- include "kube-isr.pod.spread" (list . "proxy") | nindent 2 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ add $proxy.drain.delaySeconds $proxy.drain.timeoutSeconds 5 }}
  containers:
    - {{ include "kube-isr.container" (list . "proxy") | nindent 6 | trim }}
      args:
        - proxy
        - --routes=kubernetes
        - --namespace={{ .Release.Namespace }}
        - --installation={{ include "kube-isr.installation" . }}
        - --state-dir=/var/lib/kube-isr
        - --listen={{ .Values.listenAddress }}:8080
        - --admin={{ .Values.listenAddress }}:9090
        {{- if $proxy.tls.enabled }}
        - --tls-listen={{ .Values.listenAddress }}:8443
        - --tls-cert=/etc/kube-isr/tls/tls.crt
        - --tls-key=/etc/kube-isr/tls/tls.key
        {{- end }}
        {{- with $proxy.publicScheme }}
        - --public-scheme={{ . }}
        {{- end }}
        {{- with $proxy.trustedProxies }}
        - --trusted-proxies={{ join "," . }}
        {{- end }}
        {{- with include "kube-isr.shared.url" . }}
        - --shared={{ . }}
        {{- if $.Values.shared.passwordSecret.name }}
        - --shared-password-file=/etc/kube-isr/shared/{{ $.Values.shared.passwordSecret.key }}
        {{- end }}
        {{- if $.Values.shared.caSecret.name }}
        - --shared-ca-file=/etc/kube-isr/shared-ca/{{ $.Values.shared.caSecret.key }}
        {{- end }}
        {{- end }}
        - --max-memory-bytes={{ int64 $proxy.maxMemoryBytes }}
        - --max-disk-bytes={{ int64 $proxy.maxDiskBytes }}
        - --drain-delay={{ $proxy.drain.delaySeconds }}s
        - --drain-timeout={{ $proxy.drain.timeoutSeconds }}s
        {{- if $proxy.accessLog }}
        - --access-log
        {{- end }}
        - --log-format={{ .Values.logFormat }}
        {{- with $proxy.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - { name: http, containerPort: 8080 }
        {{- if $proxy.tls.enabled }}
        - { name: https, containerPort: 8443 }
        {{- end }}
        - { name: admin, containerPort: 9090 }
      volumeMounts:
        - { name: state, mountPath: /var/lib/kube-isr }
        {{- if $proxy.tls.enabled }}
        - { name: tls, mountPath: /etc/kube-isr/tls, readOnly: true }
        {{- end }}
        {{- if .Values.shared.passwordSecret.name }}
        - { name: shared, mountPath: /etc/kube-isr/shared, readOnly: true }
        {{- end }}
        {{- if .Values.shared.caSecret.name }}
        - { name: shared-ca, mountPath: /etc/kube-isr/shared-ca, readOnly: true }
        {{- end }}
  volumes:
    - name: state
      {{- toYaml $proxy.stateVolume | nindent 6 }}
    {{- if $proxy.tls.enabled }}
    - name: tls
      secret:
        secretName: {{ $proxy.tls.secretName }}
    {{- end }}
    {{- with .Values.shared.caSecret }}
    {{- if .name }}
    - name: shared-ca
      secret:
        secretName: {{ .name }}
        items: [{ key: {{ .key | quote }}, path: {{ .key | quote }} }]
    {{- end }}
    {{- end }}
    {{- with .Values.shared.passwordSecret }}
    {{- if .name }}
    - name: shared
      secret:
        secretName: {{ .name }}
        items: [{ key: {{ .key | quote }}, path: {{ .key | quote }} }]
    {{- end }}
    {{- end }}
{{- end }}
