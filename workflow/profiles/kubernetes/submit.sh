#!/bin/sh
# Start a job script of Snakemake as a Kubernetes job and print the job's name: submit.sh CPUS MEGABYTES MINUTES GPUS SCRIPT
# SMOOSEG_IMAGE is an image with smooseg's environment; SMOOSEG_CLAIM a volume claim (ReadWriteMany), mounted at
# SMOOSEG_MOUNT here and in the jobs, that holds this folder, the data and the results.
set -eu
kubectl create -o name -f - <<EOF
apiVersion: batch/v1
kind: Job
metadata: {generateName: smooseg-}
spec:
  backoffLimit: 0
  ttlSecondsAfterFinished: 86400
  template:
    spec:
      restartPolicy: Never
      activeDeadlineSeconds: $((60 * $3))
      containers:
        - name: job
          image: ${SMOOSEG_IMAGE:?}
          command: [sh, "$5"]
          workingDir: "$PWD"
          resources:
            requests: {cpu: "$1", memory: "${2}M"}
            limits: {memory: "${2}M", nvidia.com/gpu: "$4"}
          volumeMounts: [{name: shared, mountPath: "${SMOOSEG_MOUNT:?}"}]
      volumes: [{name: shared, persistentVolumeClaim: {claimName: ${SMOOSEG_CLAIM:?}}}]
EOF
