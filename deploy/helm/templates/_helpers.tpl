{{- define "nixery.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "nixery.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "nixery.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "nixery.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "nixery.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nixery.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nixery.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "nixery.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "nixery.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "nixery.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "nixery.image" -}}
{{- $repository := required "image.repository is required: the image of the server, see docs/running.md (In a container)" .Values.image.repository }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "nixery.claim" -}}
{{- default (include "nixery.fullname" .) .Values.persistence.existingClaim }}
{{- end }}

{{- /* HTTPS if the server itself terminates TLS. */ -}}
{{- define "nixery.scheme" -}}
{{- if .Values.settings.NIXERY_TLS_CERT }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}
